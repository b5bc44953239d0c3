"""What iodine cannot change between a CT and its translation: bone, air, position and sharpness of boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image

BONE_HU, AIR_HU = 300.0, -900.0
BOUNDARY_HU = (-1000.0, -200.0)
"""Range of the boundaries of body, lung and gas, which iodine does not change."""
MIN_GRADIENT_HU = 40.0
MIN_VOXELS = 100


@dataclass(frozen=True)
class CTInvariance:
    """bone_hu, air_hu: median absolute difference where both scans show dense bone, or the first air; NaN without such
    voxels. shift_mm: displacement of the second scan's boundaries from the first's along R, A, S, by least squares.
    sharpness: ratio of their root mean square gradients, second over first; below 1 is blurred."""

    bone_hu: float
    air_hu: float
    shift_mm: tuple[float, float, float]
    sharpness: float


def measure_invariance(before: Image, after: Image) -> CTInvariance:
    """Measure the changes from `before` to `after`, HU on one grid, one channel. Raises GeometryError (grid-mismatch);
    ImageError (boundary-missing) if no boundary of body and air is in view."""
    before.grid.require_same(after.grid, "the translated image")
    x, y = (volume.data[0].float().cpu() for volume in (before, after))
    difference = (y - x).abs()
    bone = _median(difference[(x > BONE_HU) & (y > BONE_HU)])
    air = _median(difference[x < AIR_HU])
    shift, sharpness = _boundaries(x.clamp(*BOUNDARY_HU), y.clamp(*BOUNDARY_HU), before)
    return CTInvariance(bone, air, shift, sharpness)


def _median(values: torch.Tensor) -> float:
    if len(values) < MIN_VOXELS:
        return float("nan")
    return float(values.sort().values[len(values) // 2])


def _boundaries(x: torch.Tensor, y: torch.Tensor, volume: Image) -> tuple[tuple[float, float, float], float]:
    """Return the shift s for which y(p) = x(p - s) to first order, RAS mm, and the ratio of the gradients.

    The gradients are those of the mean of both scans, so that blur and the sign of the shift do not bias the estimate.
    """
    gradients = torch.stack([_gradient((x + y) / 2, axis) for axis in range(3)])
    steep = gradients.norm(dim=0) > MIN_GRADIENT_HU
    if int(steep.sum()) < MIN_VOXELS:
        raise ImageError(
            "Found no boundary between body and air in these scans, expected some to measure the geometry by. Give the "
            "whole scan, not a crop of one organ.",
            code="boundary-missing",
        )
    g = gradients[:, steep].double()
    # along an axis with hardly a boundary (a body that extends through all slices) the shift is undetermined: 0
    found = torch.linalg.lstsq(g.T, (y - x)[steep].double()[:, None], rcond=0.1, driver="gelsd")
    step_vox = -found.solution[:, 0].numpy()
    mm = volume.grid.affine[:3, :3] @ step_vox
    power = [float(sum(_gradient(item, axis)[steep].square().sum() for axis in range(3))) for item in (x, y)]
    right, front, up = (float(v) for v in mm)
    return (right, front, up), float(np.sqrt(power[1] / max(power[0], 1e-9)))


def _gradient(image: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the central difference along `axis`, HU per voxel; 0 at the faces and along axes of one or two voxels."""
    gradient = torch.zeros_like(image)
    count = image.shape[axis]
    if count > 2:
        inner = image.narrow(axis, 2, count - 2) - image.narrow(axis, 0, count - 2)
        gradient.narrow(axis, 1, count - 2).copy_(inner / 2)
    return gradient
