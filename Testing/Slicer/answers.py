"""A registration that finds a known transform. Runs in the worker process too: no Slicer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from SlicerSynthReg.api.registration import Registration, RegistrationRun
from SlicerSynthReg.api.registration_inputs import read_inputs
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.registration.brain_pipeline import PipelineResult
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Composite, Displacement, Transform
from Testing.Slicer.rotation import turn


def known_map(seed: int = 7) -> Composite:
    """Return a transform, fixed world -> moving world: a smooth deformation of up to 6 mm around the origin, then 10
    degrees, 4 % and a shift."""
    shape = (25, 25, 25)
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = -96.0
    bend = gaussian_filter(np.random.default_rng(seed).standard_normal((3, *shape)), (0, 2.5, 2.5, 2.5))
    axes = [np.hanning(n) for n in shape]
    bend = bend / np.abs(bend).max() * np.einsum("i,j,k->ijk", *axes) * 6.0 / 8.0
    matrix = np.eye(4)
    matrix[:3, :3] = turn((4.0, -6.0, 7.0)) @ np.diag([1.04, 0.98, 1.0])
    matrix[:3, 3] = (5.0, -3.0, 2.0)
    return Composite((Displacement(torch.from_numpy(bend.astype(np.float32)), Grid(shape, affine)), Affine(matrix)))


def known_registration(transform: Transform):
    """Return a function with the signature of `api.registration.register` that always finds `transform`."""

    def register(
        fixed: Image, moving: Image, *, parameters: RegisterParameters, progress: Progress, **guides: Any
    ) -> Registration:
        given = {"fixed": fixed, "moving": moving, **guides}
        found = PipelineResult(transform, {}, 0.5, 0.5)
        run = RegistrationRun((fixed.name, moving.name), parameters, None, "cpu", {})
        return Registration(read_inputs(given, parameters), found, run)

    return register
