"""What iodine cannot change: bone, air, where things are and how sharp. Measured between a CT and its translation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.volume.volume import Volume, VolumeError

BONE_HU, AIR_HU = 300.0, -900.0
EDGES_HU = (-1000.0, -200.0)
"""Between these lie the borders of body, lung and gas with what is about them, which iodine leaves alone."""
LEAST_VOXELS = 100


@dataclass(frozen=True)
class Invariance:
    """bone_hu, air_hu: median absolute difference where both scans show dense bone, or the first air; NaN where there
    is none. worst_bone_hu, worst_air_hu: their 95th percentiles. shift_mm: along world R, A, S, how far the second
    scan's borders lie from the first's, by least squares. sharpness: steepness of these borders, second over first;
    below 1 is blurred."""

    bone_hu: float
    worst_bone_hu: float
    air_hu: float
    worst_air_hu: float
    shift_mm: tuple[float, float, float]
    sharpness: float


def invariance(before: Volume, after: Volume) -> Invariance:
    """Both HU on one grid, one channel. VolumeError where no border of body and air is in view."""
    before.grid.require_same(after.grid, "the translated image")
    x, y = (volume.data[0].float().cpu() for volume in (before, after))
    difference = (y - x).abs()
    bone = _spread(difference[(x > BONE_HU) & (y > BONE_HU)])
    air = _spread(difference[x < AIR_HU])
    shift, sharpness = _borders(x.clamp(*EDGES_HU), y.clamp(*EDGES_HU), before)
    return Invariance(*bone, *air, shift, sharpness)


def _spread(values: torch.Tensor) -> tuple[float, float]:
    if len(values) < LEAST_VOXELS:
        return float("nan"), float("nan")
    ordered = values.sort().values
    return float(ordered[len(ordered) // 2]), float(ordered[int(0.95 * (len(ordered) - 1))])


def _borders(x: torch.Tensor, y: torch.Tensor, volume: Volume) -> tuple[tuple[float, float, float], float]:
    """The shift s that explains y(p) = x(p - s) to first order, and the ratio of the borders' steepness.

    The slopes are those of the mean of both scans, so that blur and the sign of the shift do not bias the estimate.
    """
    slopes = torch.stack([_slope((x + y) / 2, axis) for axis in range(3)])
    steep = slopes.norm(dim=0) > 40.0
    if int(steep.sum()) < LEAST_VOXELS:
        raise VolumeError(
            "Found no border between body and air in these scans, expected some to measure the geometry by. Give the "
            "whole scan, not a crop of one organ."
        )
    g = slopes[:, steep].double()
    # along an axis with hardly a border (a body that runs on through all slices) nothing is known of a shift: 0
    found = torch.linalg.lstsq(g.T, (y - x)[steep].double()[:, None], rcond=0.1, driver="gelsd")
    step_vox = -found.solution[:, 0].numpy()
    mm = volume.grid.affine[:3, :3] @ step_vox
    power = [float(sum(_slope(one, axis)[steep].square().sum() for axis in range(3))) for one in (x, y)]
    right, front, up = (float(v) for v in mm)
    return (right, front, up), float(np.sqrt(power[1] / max(power[0], 1e-9)))


def _slope(image: torch.Tensor, axis: int) -> torch.Tensor:
    """Central difference in HU a voxel, 0 at the faces and along an axis of one or two voxels."""
    slope = torch.zeros_like(image)
    count = image.shape[axis]
    if count > 2:
        inner = image.narrow(axis, 2, count - 2) - image.narrow(axis, 0, count - 2)
        slope.narrow(axis, 1, count - 2).copy_(inner / 2)
    return slope
