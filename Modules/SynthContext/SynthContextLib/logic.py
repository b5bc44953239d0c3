"""SynthContext for scripts, and what its panel starts."""

# no `from __future__ import annotations`: like the module's own file, Slicer's wrappers read annotations as types
from pathlib import Path
from typing import Optional

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
from SynthRegLib.job import Listener
from SynthRegLib.warm import WarmWorker
from SynthRegLib.work import at_once, finished

from SlicerSynthReg.request import Progress, silent
from SynthContextLib import contextset, home, runs
from SynthContextLib.answering import Stages
from SynthContextLib.answers import Answer
from SynthContextLib.examplefolder import ExampleFolder
from SynthContextLib.parameters import SynthContextParameterNode
from SynthContextLib.rows import Row
from SynthContextLib.settings import Settings, Tuning
from SynthContextLib.tuning import Tuned


class SynthContextLogic(ScriptedLoadableModuleLogic):
    """worker: kept warm between runs, until close(). folder: the examples as the worker read them last."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        home.provide_folder()
        self.worker = WarmWorker()
        self.folder = ExampleFolder()

    def getParameterNode(self):
        return SynthContextParameterNode(super().getParameterNode())

    def apply(
        self,
        examples,
        target: slicer.vtkMRMLScalarVolumeNode,
        truth: Optional[slicer.vtkMRMLDisplayableNode] = None,
        settings: Optional[Settings] = None,
        progress: Progress = silent,
    ) -> Answer:
        """Do to `target` what the examples show, and wait for it; the nodes of the answer are in the scene.

        examples: pairs (image, answer) of nodes; () where settings.model is a fine-tuned one. Raises RequestError
        (found, expected, remedy), and adds nothing.
        """
        rows = [Row(*pair) for pair in examples]
        stages = runs.applying(rows, [Row(target, truth)], settings or Settings(), self.folder)
        return self._at_once(stages, progress)

    def fine_tune(self, examples, tuning: Optional[Tuning] = None, progress: Progress = silent) -> Tuned:
        """Train a model of your own on pairs (image, segmentation or label map), and wait for it. Raises
        RequestError."""
        stages = runs.fine_tuning([Row(*pair) for pair in examples], tuning or Tuning(), self.folder)
        return self._at_once(stages, progress)

    def save_set(self, examples, folder) -> None:
        """Write pairs as a folder that load_set and `synthreg context` read. Raises RequestError."""
        self._at_once(runs.saving([Row(*pair) for pair in examples], Path(folder)), silent)

    def load_set(self, folder):
        """Pairs of nodes, from a folder of examples or a table. Raises RequestError."""
        rows = finished(contextset.placed(*contextset.found_in(Path(folder))))
        return [(row.image, row.answer) for row in rows]

    def start(self, stages, listener: Listener) -> Stages:
        """Run stages without waiting. Raises RequestError when the first cannot begin."""
        running = Stages(stages, self.worker, listener)
        running.start()
        return running

    def close(self) -> None:
        """End the worker process, and forget the examples it read."""
        self.worker.give_up()
        self.folder.forget()

    def _at_once(self, stages, progress):
        values = []
        for stage in stages:
            work = stage.make(values)
            values.append(at_once(work, self.worker.client().run, progress) if work is not None else None)
        return values[-1]
