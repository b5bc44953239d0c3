"""Common intensity scale of example images and targets.

By default each image is rescaled by its own robust range. If that leaves most tissue with almost one intensity, as in
CT with bone and metal, and the raw values of the examples agree, histogram equalisation is used instead: each value
becomes its rank in the foreground of the examples, by one table for examples and targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import rescale_intensity, subsample
from SlicerSynthReg.spatial.transform import Transform

MIN_SPREAD = 0.1
"""Interquartile range of the foreground after rescaling; 0.02 to 0.05 in CT, 0.2 to 0.4 in MR."""
FOREGROUND = 0.06
"""Rescaled intensity above which a voxel is foreground."""
MIN_FOREGROUND_VOXELS = 100
_KNOTS = 64
_SAMPLES = 200_000


@dataclass(frozen=True, eq=False)
class IntensityMapping:
    """Mapping of raw intensities to [0, 1]. knots: raw values of evenly spaced ranks; None: each image's own range."""

    knots: tuple[float, ...] | None = None

    def of(self, data: torch.Tensor) -> torch.Tensor:
        """Return raw values (any shape) mapped to [0, 1]."""
        if self.knots is None:
            return rescale_intensity(data)
        ranks = np.interp(data.numpy(), self.knots, np.linspace(0, 1, len(self.knots)))
        return torch.from_numpy(ranks).float()


def fit_intensity_mapping(images: Sequence[torch.Tensor]) -> IntensityMapping:
    """Return the mapping for examples with these raw intensities (any shape each)."""
    foregrounds: list[np.ndarray] = []
    rescaled_spreads: list[float] = []
    raw_spreads: list[float] = []
    for image in images:
        rescaled = rescale_intensity(image)
        foreground = rescaled > FOREGROUND
        if int(foreground.sum()) < MIN_FOREGROUND_VOXELS:
            return IntensityMapping()
        foregrounds.append(subsample(image[foreground], _SAMPLES, at_least=True).numpy())
        raw_spreads.append(_interquartile_range(foregrounds[-1]))
        values = subsample(rescaled[foreground], _SAMPLES, at_least=True).numpy()
        rescaled_spreads.append(_interquartile_range(values))
    medians = [float(np.median(foreground)) for foreground in foregrounds]
    if np.median(rescaled_spreads) > MIN_SPREAD or max(medians) - min(medians) > np.median(raw_spreads):
        return IntensityMapping()
    knots = np.quantile(np.concatenate(foregrounds), np.linspace(0, 1, _KNOTS))
    knots[0] = min(float(image.min()) for image in images)
    return IntensityMapping(tuple(np.unique(knots).tolist()))


def resample_unscaled(image: Image, grid: Grid, transform: Transform | None = None) -> torch.Tensor:
    """Return the first channel of `image` resampled to `grid`, (1, I, J, K); outside its field of view its minimum."""
    low = float(image.data.min())
    shifted = Image(image.data[:1] - low, image.grid)
    return shifted.resampled(grid, transform).data + low


def _interquartile_range(values: np.ndarray) -> float:
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low)
