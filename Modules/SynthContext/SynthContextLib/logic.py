"""In-context prediction and fine-tuning for scripts."""

# no `from __future__ import annotations`: like the module's own file, Slicer's wrappers read annotations as types
from pathlib import Path
from typing import Optional

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
from SynthRegLib.job import Listener
from SynthRegLib.node_job import run_steps, run_sync
from SynthRegLib.worker_process import WorkerProcess

from SlicerSynthReg.parameters.examples import FineTuneParameters, InContextParameters
from SlicerSynthReg.progress import Progress, no_progress
from SynthContextLib import example_set, job_stages, models
from SynthContextLib.example_folder import ExampleFolder
from SynthContextLib.finetuning_job import FineTunedModel
from SynthContextLib.pair_rows import Row
from SynthContextLib.parameters import SynthContextParameterNode
from SynthContextLib.prediction import Prediction
from SynthContextLib.staged_job import Stages


class SynthContextLogic(ScriptedLoadableModuleLogic):
    """worker: the worker process, kept until close(). folder: cached examples."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        models.provide_folder()
        self.worker = WorkerProcess()
        self.folder = ExampleFolder()

    def getParameterNode(self):
        return SynthContextParameterNode(super().getParameterNode())

    def apply(
        self,
        examples,
        target: slicer.vtkMRMLScalarVolumeNode,
        truth: Optional[slicer.vtkMRMLDisplayableNode] = None,
        parameters: Optional[InContextParameters] = None,
        progress: Progress = no_progress,
    ) -> Prediction:
        """Predict for `target` what the examples show, synchronously; the result nodes are in the scene.

        examples: pairs (image, output) of nodes; () for a fine-tuned model. Raises RequestError; the scene is then
        unchanged.
        """
        rows = [Row(*pair) for pair in examples]
        stages = job_stages.prediction_stages(
            rows, [Row(target, truth)], parameters or InContextParameters(), self.folder
        )
        return self._run_sync(stages, progress)

    def fine_tune(
        self, examples, parameters: Optional[FineTuneParameters] = None, progress: Progress = no_progress
    ) -> FineTunedModel:
        """Fine-tune a model on pairs (image, segmentation or label map), synchronously. Raises RequestError."""
        stages = job_stages.finetuning_stages(
            [Row(*pair) for pair in examples], parameters or FineTuneParameters(), self.folder
        )
        return self._run_sync(stages, progress)

    def save_set(self, examples, folder) -> None:
        """Write pairs as a folder that load_set and `synthreg in-context` read. Raises RequestError."""
        self._run_sync(job_stages.saving_stages([Row(*pair) for pair in examples], Path(folder)), no_progress)

    def load_set(self, folder):
        """Load pairs of nodes from a folder of examples or a table. Raises RequestError."""
        rows = run_steps(example_set.load_pairs(*example_set.find_pairs(Path(folder))))
        return [(row.image, row.answer) for row in rows]

    def start(self, stages, listener: Listener) -> Stages:
        """Start the stages. Raises RequestError if the first cannot begin."""
        running = Stages(stages, self.worker, listener)
        running.start()
        return running

    def close(self) -> None:
        """End the worker process and forget the cached examples."""
        self.worker.shutdown()
        self.folder.forget()

    def _run_sync(self, stages, progress):
        values = []
        for stage in stages:
            work = stage.make(values)
            values.append(run_sync(work, self.worker.client().run, progress) if work is not None else None)
        return values[-1]
