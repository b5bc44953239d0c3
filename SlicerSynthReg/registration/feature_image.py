"""Feature images: several channels on one grid, with a weight for each voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, resample


@dataclass(frozen=True, eq=False)
class FeatureImage:
    """values: (C, I, J, K) float32. weight: (I, J, K) in [0, 1]."""

    values: torch.Tensor
    weight: torch.Tensor
    grid: Grid

    def pooled(self, factor: int) -> FeatureImage:
        """Return weighted block means on the grid `factor` times coarser."""
        if factor == 1:
            return self
        weight = F.avg_pool3d(self.weight[None, None], factor)
        values = F.avg_pool3d((self.values * self.weight)[None], factor) / weight.clamp_min(1e-4)
        return FeatureImage(values[0], weight[0, 0], self.grid.downsampled(factor))

    def on(self, grid: Grid, matrix: np.ndarray | None = None) -> FeatureImage:
        """Return the image resampled on `grid` through `matrix` (4x4, RAS mm of `grid` -> RAS mm of this image); weight
        0 outside."""
        through = None if matrix is None else Affine(matrix)
        values = resample(self.values, self.grid, grid, through, padding="border")
        return FeatureImage(values, resample(self.weight[None], self.grid, grid, through)[0], grid)

    def centroid_mm(self) -> np.ndarray:
        """Return (3,) the weighted centroid, RAS mm."""
        index = [
            float((self.weight.sum(dim=[a for a in range(3) if a != axis]) * torch.arange(n)).sum() / self.weight.sum())
            for axis, n in enumerate(self.weight.shape)
        ]
        return self.grid.index_to_world(np.array([index]))[0]

    def bounding_box(self, threshold: float = 0.5, margin_mm: float = 0.0) -> Grid:
        """Return the box where the weight exceeds `threshold`, with a margin, clipped to the grid."""
        inside = (self.weight > threshold).nonzero()
        if not len(inside):
            return self.grid
        margin = np.ceil(margin_mm / self.grid.spacing)
        low = np.maximum(inside.min(0).values.numpy() - margin, 0)
        high = np.minimum(inside.max(0).values.numpy() + 1 + margin, self.grid.shape)
        return self.grid.cropped(tuple(low.astype(int)), tuple(high.astype(int)))


def pca_project(
    images: tuple[FeatureImage, FeatureImage], count: int, training: tuple[FeatureImage, ...]
) -> list[torch.Tensor]:
    """Return each image's centred values projected on the first `count` principal components: (count, I, J, K).

    Mean and components are those of the images `training`, weighted by their weights.
    """
    total = sum(
        (channel_image.weight.sum() for channel_image in training),
        start=torch.tensor(1e-6, device=images[0].values.device),
    )
    mean = sum((channel_image.values * channel_image.weight).sum(dim=(1, 2, 3)) for channel_image in training) / total
    scatter = mean.new_zeros((len(mean), len(mean)))
    for channel_image in training:
        centred = (channel_image.values - mean[:, None, None, None]).flatten(1)
        scatter += (centred * channel_image.weight.flatten()) @ centred.T
    axes = torch.linalg.eigh(scatter / total).eigenvectors[:, -count:]
    return [torch.einsum("ca,cijk->aijk", axes, image.values - mean[:, None, None, None]) for image in images]
