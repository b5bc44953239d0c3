"""The images that instance optimisation compares: several channels on one grid, and where they count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, resample


@dataclass(frozen=True, eq=False)
class Channels:
    """values (C, I, J, K) float32; weight (I, J, K) in [0, 1], how much each voxel counts."""

    values: torch.Tensor
    weight: torch.Tensor
    grid: Grid

    def pooled(self, factor: int) -> Channels:
        """Weighted block means on the grid `factor` times coarser."""
        if factor == 1:
            return self
        weight = F.avg_pool3d(self.weight[None, None], factor)
        values = F.avg_pool3d((self.values * self.weight)[None], factor) / weight.clamp_min(1e-4)
        return Channels(values[0], weight[0, 0], self.grid.scaled_down(factor))

    def on(self, grid: Grid, matrix: np.ndarray | None = None) -> Channels:
        """Seen on `grid` through the world map `matrix` (4x4, grid's RAS -> this one's RAS); weight 0 outside."""
        through = None if matrix is None else Affine(matrix)
        values = resample(self.values, self.grid, grid, through, padding="border")
        return Channels(values, resample(self.weight[None], self.grid, grid, through)[0], grid)

    def centroid_mm(self) -> np.ndarray:
        """(3,) weighted centre, RAS mm."""
        index = [
            float((self.weight.sum(dim=[a for a in range(3) if a != axis]) * torch.arange(n)).sum() / self.weight.sum())
            for axis, n in enumerate(self.weight.shape)
        ]
        return self.grid.index_to_world(np.array([index]))[0]

    def bounding_box(self, threshold: float = 0.5, margin_mm: float = 0.0) -> Grid:
        """The part of the grid where the weight exceeds `threshold`, and a margin, within the grid."""
        inside = (self.weight > threshold).nonzero()
        if not len(inside):
            return self.grid
        margin = np.ceil(margin_mm / self.grid.spacing)
        low = np.maximum(inside.min(0).values.numpy() - margin, 0)
        high = np.minimum(inside.max(0).values.numpy() + 1 + margin, self.grid.shape)
        return self.grid.cropped(tuple(low.astype(int)), tuple(high.astype(int)))


def principal(images: tuple[Channels, Channels], count: int, told_by: tuple[Channels, ...]) -> list[torch.Tensor]:
    """Each image's values less the mean, on the first principal directions: (count, I, J, K). Both are those of the
    images `told_by`, where these count."""
    total = sum((one.weight.sum() for one in told_by), start=torch.tensor(1e-6, device=images[0].values.device))
    mean = sum((one.values * one.weight).sum(dim=(1, 2, 3)) for one in told_by) / total
    scatter = mean.new_zeros((len(mean), len(mean)))
    for one in told_by:
        centred = (one.values - mean[:, None, None, None]).flatten(1)
        scatter += (centred * one.weight.flatten()) @ centred.T
    axes = torch.linalg.eigh(scatter / total).eigenvectors[:, -count:]
    return [torch.einsum("ca,cijk->aijk", axes, one.values - mean[:, None, None, None]) for one in images]
