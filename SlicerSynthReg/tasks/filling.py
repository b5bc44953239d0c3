"""The raw scan with what is abnormal replaced, in its own contrast, units and grid."""

from __future__ import annotations

import torch
from scipy.ndimage import binary_dilation

from SlicerSynthReg.methods.una.filling import filled_hole
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.tasks.healing import Healed, through_mirror
from SlicerSynthReg.volume.volume import Volume

FILLED_FROM = 0.7
"""Anomaly map from which on, and one voxel about it, nothing is left of a scan that is filled."""


def filled(healed: Healed, volume: Volume, una: UNA) -> Volume:
    """On the grid of `volume`, the scan that `healed` was made of by `una`; unchanged where nothing is abnormal."""
    anomaly, brain = healed.anomaly.data[0], healed.brain.data[0] > 0
    raw = volume.data[:1].float()
    abnormal = (anomaly >= FILLED_FROM) & brain
    if not bool(abnormal.any()):
        return Volume(raw, volume.grid, name=volume.name)

    def other_side(mask: torch.Tensor) -> torch.Tensor:
        whole = resample(mask[None], healed.t1.grid, healed.scan_grid)[0]
        return through_mirror(whole, healed.scan_grid, healed.mirror, healed.t1.grid)

    hole = torch.from_numpy(binary_dilation(abnormal.numpy())) & brain
    with torch.inference_mode():
        made = filled_hole(una, healed.scan.data[0], healed.mirrored.data[0], hole, brain, other_side)
    low, high = healed.lit
    there = Volume((low + made * (high - low))[None], healed.t1.grid).resampled(volume.grid).data
    share = (2 * Volume(hole[None].float(), healed.t1.grid).resampled(volume.grid).data).clamp(0, 1)
    return Volume(raw * (1 - share) + there * share, volume.grid, name=volume.name)
