"""The intensities in which examples of a task and a new image are compared.

Usually each image's own, from air to its brightest half percent. Where that leaves all tissue about the labels with
nearly one brightness, as bone and metal do in CT, and the examples' raw values agree, values are spread evenly instead:
each becomes its rank among the examples' tissue (histogram equalisation), by one table for examples and target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.volume import Volume

CROWDED = 0.1
"""Share of the range that the middle half of the tissue takes; 0.02 to 0.05 in CT, 0.2 to 0.4 in MR."""
AIR = 0.06
"""In shares of each image's own range."""
_KNOTS = 64
_MOST = 200_000


@dataclass(frozen=True, eq=False)
class Brightness:
    """knots: raw values that evenly become 0 to 1, none where each image keeps its own scale."""

    knots: tuple[float, ...] | None = None

    def of(self, data: torch.Tensor) -> torch.Tensor:
        """Raw values (any shape) -> [0, 1]."""
        if self.knots is None:
            return unit_intensities(data)
        ranks = np.interp(data.numpy(), self.knots, np.linspace(0, 1, len(self.knots)))
        return torch.from_numpy(ranks).float()


def brightness_of(images: Sequence[torch.Tensor]) -> Brightness:
    """By the examples' raw values on their common grid."""
    tissues: list[np.ndarray] = []
    shares: list[float] = []
    spans: list[float] = []
    for image in images:
        unit = unit_intensities(image)
        lit = unit > AIR
        if int(lit.sum()) < 100:
            return Brightness()
        values = image[lit]
        tissues.append(values[:: max(1, len(values) // _MOST)].numpy())
        picked = unit[lit][:: max(1, len(values) // _MOST)].numpy()
        for found, among in ((spans, tissues[-1]), (shares, picked)):
            low, high = np.quantile(among, (0.25, 0.75))
            found.append(high - low)
    together = np.concatenate(tissues)
    medians = [float(np.median(one)) for one in tissues]
    if np.median(shares) > CROWDED or max(medians) - min(medians) > np.median(spans):
        return Brightness()
    knots = np.quantile(together, np.linspace(0, 1, _KNOTS))
    knots[0] = min(float(image.min()) for image in images)
    return Brightness(tuple(np.unique(knots).tolist()))


def raw(image: Volume, grid: Grid, through: Transform | None = None) -> torch.Tensor:
    """(1, I, J, K): the image's first component on `grid`; beyond the image lies its darkest value."""
    low = float(image.data.min())
    shifted = Volume(image.data[:1] - low, image.grid)
    return shifted.resampled(grid, through).data + low
