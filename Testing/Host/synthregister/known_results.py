"""Registrations of images in memory that find known transforms. Runs in the worker process."""

from __future__ import annotations

import dataclasses
import os
from functools import cached_property
from typing import Any

import numpy as np

from SlicerSynthReg.api import sequence
from SlicerSynthReg.api.registration import Registration
from SlicerSynthReg.api.sequence import SequenceRegistration
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.spatial.transform import Affine
from Testing.Host.behaviour import BEHAVIOUR, behave
from Testing.Slicer.answers import known_map, known_registration


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


def register(fixed: Image, moving: Image, **options: Any) -> KnownRegistration:
    """Find `known_map`, or the identity where the behaviour is "identity"."""
    transform = Affine(np.eye(4)) if os.environ.get(BEHAVIOUR) == "identity" else known_map()
    found = known_registration(transform)(fixed, moving, **options)
    stages = {"affine": 2.0} if options["parameters"].affine_only else {"affine": 2.0, "refinement": 5.0}
    similarity = 0.4 if options["parameters"].affine_only else 0.7
    return KnownRegistration(found.inputs, found.pipeline, found.run, stages, similarity)


def register_sequence(*images: Any, **options: Any) -> SequenceRegistration:
    """The API's own function, in which the registration of frame n finds a shift of 2 n mm along +R."""

    def register_frame(fixed: Image, moving: Image, *, progress: Progress, **options: Any) -> Registration:
        behave(progress)
        shift = np.eye(4)
        shift[0, 3] = 2.0 * int(moving.name)
        return known_registration(Affine(shift))(fixed, moving, progress=progress, **options)

    sequence.register = register_frame
    return sequence.register_sequence(*images, **options)
