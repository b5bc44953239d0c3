"""What the modules of SynthReg share: MRML nodes to files and back, the job that runs a worker, display, installation.

`scene_task` and `scene_worker` run in the worker process and know no Slicer; all others run in Slicer and import no
torch.
"""
