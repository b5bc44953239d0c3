"""Registration for scripts, and the jobs that the panel starts; a worker process computes."""

# no `from __future__ import annotations`: Slicer's wrappers read annotations as types
from pathlib import Path
from typing import Optional

import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModuleLogic,
)
from SynthRegLib.job import Job, JobSteps, Listener
from SynthRegLib.node_job import run_sync
from SynthRegLib.parameters import SynthRegisterParameterNode
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.registration_job import refinement_job, register, registration_job
from SynthRegLib.registration_results import RegisteredNodes
from SynthRegLib.settings import Settings
from SynthRegLib.worker_process import WorkerProcess

from SlicerSynthReg.progress import Progress, no_progress
from SynthRegisterLib.result_table import StoredResult
from SynthRegisterLib.sequence_job import RegisteredSequence, SequenceInput, sequence_job
from SynthRegisterLib.topology_job import TopologyNodes, topology_job
from SynthRegisterLib.transform_export import export_job


class SynthRegisterLogic(ScriptedLoadableModuleLogic):
    """worker: the worker process, kept until close()."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.worker = WorkerProcess()

    def getParameterNode(self):
        return SynthRegisterParameterNode(super().getParameterNode())

    def register(
        self,
        fixed: slicer.vtkMRMLScalarVolumeNode,
        moving: slicer.vtkMRMLScalarVolumeNode,
        settings: Optional[Settings] = None,
        progress: Progress = no_progress,
        **more,
    ) -> RegisteredNodes:
        """Register two volumes synchronously; the result nodes are in the scene.

        more: other fields of RegistrationNodes (fixed_mask, moving_labels, initial_transform, ...). progress: called
        with fraction and text. Raises RequestError; the scene is then unchanged.
        """
        nodes = RegistrationNodes(fixed=fixed, moving=moving, **more)
        return register(nodes, settings or Settings(), self.worker.client().run, progress)

    def start(
        self,
        nodes: RegistrationNodes,
        settings: Settings,
        listener: Listener,
        after: Optional[slicer.vtkMRMLTransformNode] = None,
    ) -> Job:
        """Start a registration. after: transform of an earlier result that is refined. Raises RequestError for invalid
        nodes."""
        return self.launch(
            registration_job(nodes, settings) if after is None else refinement_job(nodes, settings, after), listener
        )

    def registerSequence(
        self, series: SequenceInput, settings: Settings, progress: Progress = no_progress
    ) -> RegisteredSequence:
        """Register all frames of a sequence synchronously. Raises RequestError."""
        return run_sync(sequence_job(series, settings), self.worker.client().run, progress)

    def export(
        self,
        forward: slicer.vtkMRMLTransformNode,
        folder: str,
        suffix: str = ".h5",
        inverse: Optional[slicer.vtkMRMLTransformNode] = None,
    ) -> Path:
        """Write a result's transform and its inverse for ITK into a new folder in `folder`; see export_job."""
        return run_sync(export_job(forward, inverse, folder, suffix), self.worker.client().run)

    def computeTopologicalChange(
        self, registered: RegisteredNodes, controls: str = "", progress: Progress = no_progress
    ) -> TopologyNodes:
        """Compute where no smooth deformation explains the difference between fixed and moved image; see topology_job.
        Raises RequestError."""
        work = topology_job(StoredResult(registered.moved).node("fixed"), registered.moved, controls)
        return run_sync(work, self.worker.client().run, progress)

    def launch(self, work: JobSteps, listener: Listener) -> Job:
        """Start a job without waiting."""
        job = Job(work, self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.shutdown()
