"""A worker whose registration finds a known transform (behaviour "still": the identity) and, for each frame of a
sequence, a known shift, as slowly or badly as SYNTHREG_TEST_MANNER says; topological change is the backend's own.

Started in the place of SynthRegLib.scene_worker, with the repository in PYTHONPATH."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from functools import cached_property
from typing import Any

import numpy as np
from SynthRegLib.scene_worker import derivation, nodes_spec, tasks_on_nodes

from SlicerSynthReg.api import sequence
from SlicerSynthReg.api.registration import Registration
from SlicerSynthReg.api.sequence import SequenceRegistration
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.service.worker import main
from SlicerSynthReg.spatial.transform import Affine
from Testing.Slicer.answers import known_map, known_registration


def misbehave(progress: Progress) -> None:
    manner = os.environ.get("SYNTHREG_TEST_MANNER", "")
    progress(0.05, "computing")
    if manner in ("slow", "deaf"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        progress(0.1, f"child {child.pid}")
    if manner == "deaf":
        time.sleep(120)
    for step in range(600 if manner == "slow" else 4):
        progress(0.1 + step / 1000, "computing")
        time.sleep(0.1)
    if manner == "memory":
        raise MemoryError
    if manner == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def register(fixed: Image, moving: Image, *, progress: Progress, **more: Any) -> KnownRegistration:
    misbehave(progress)
    identity = os.environ.get("SYNTHREG_TEST_MANNER") == "still"
    found = known_registration(Affine(np.eye(4)) if identity else known_map())(fixed, moving, progress=progress, **more)
    stages = {"affine": 2.0} if more["parameters"].affine_only else {"affine": 2.0, "refinement": 5.0}
    similarity = 0.4 if more["parameters"].affine_only else 0.7
    return KnownRegistration(found.inputs, found.pipeline, found.run, stages, similarity)


@dataclasses.dataclass(frozen=True, eq=False)
class KnownRegistration(Registration):
    """A registration with a known report."""

    stages: dict[str, float] = dataclasses.field(default_factory=dict)
    similarity: float = 0.0

    @cached_property
    def report(self) -> RegistrationReport:
        report = super().report
        return dataclasses.replace(
            report,
            run=dataclasses.replace(report.run, model="known map", stages=self.stages),
            transform_quality=dataclasses.replace(report.transform_quality, folding_fraction=0.0),
            similarity=dataclasses.replace(report.similarity, similarity_after=self.similarity),
        )


def register_sequence(*given: Any, **more: Any) -> SequenceRegistration:
    """The API's own function, in which the registration of each frame finds a shift of 2 mm a frame along +R."""

    def register_frame(fixed: Image, moving: Image, *, progress: Progress, **more: Any) -> Registration:
        misbehave(progress)
        shift = np.eye(4)
        shift[0, 3] = 2.0 * int(moving.name)
        return known_registration(Affine(shift))(fixed, moving, progress=progress, **more)

    sequence.register = register_frame
    return sequence.register_sequence(*given, **more)


def topology(inputs: dict[str, Any], parameters: dict[str, Any], progress: Progress) -> Any:
    misbehave(progress)
    return derivation("topology")(inputs, parameters, progress)


if __name__ == "__main__":
    known = {"register": register, "sequence": register_sequence, "topology": topology}
    main({**tasks_on_nodes(), **{f"{name}_nodes": nodes_spec(name, task) for name, task in known.items()}})
