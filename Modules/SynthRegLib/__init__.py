"""Code shared by the modules: nodes and files, jobs of the worker process, display, installation.

node_images, *_task and scene_worker run in the worker process without Slicer; all others run in Slicer without torch.
"""
