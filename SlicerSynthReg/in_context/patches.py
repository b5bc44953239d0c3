"""Non-local patch-based label propagation: each voxel takes its output from similar patches of the examples.

Coupe et al., Patch-based segmentation using expert priors (NeuroImage 54, 2011). For a voxel p and all voxels q of all
examples within a search window about p,

    y(p) = sum_q w(p, q) y(q) / sum_q w(p, q),    w(p, q) = exp(-d(p, q) / h(p)),    h(p) = lambda min_q d(p, q) + eps

with d the mean squared difference of two patches. Needs no training, holds for any anatomy and contrast, predicts all
classes at once, and tolerates misalignment up to the search radius. Departures: patches are not preselected by mean and
variance; the minimum is taken over every other offset; y may be an image.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.spatial.smoothing import mean_along

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Half-open voxel range (start, stop) by axis."""


@dataclass(frozen=True)
class PatchConfig:
    """patch, search: radius of the patches and of the search window in voxels. decay: lambda."""

    patch: int = 1
    search: int = 3
    decay: float = 0.5


def propagate(
    x: torch.Tensor,
    examples: Sequence[tuple[torch.Tensor, torch.Tensor]],
    config: PatchConfig,
    box: Box,
    progress: Progress = no_progress,
) -> torch.Tensor:
    """Return the prediction (L, *box) for x (C, I, J, K) in [0, 1] within `box`.

    examples: images (C, I, J, K) and outputs (L, I, J, K). Memory beyond the inputs: the box of one example.
    """
    target = _cut(x, box, config.patch)
    nearest = torch.full([high - low for low, high in box], torch.inf)
    for image, _ in examples:
        for _, distance in _distances(target, image, box, config, 2):
            torch.minimum(nearest, distance, out=nearest)
    scale = -1 / (config.decay * nearest + 1e-5)
    total = torch.zeros(examples[0][1].shape[0], *nearest.shape)
    weights = torch.zeros_like(nearest)
    for n, (image, output) in enumerate(examples):
        around = _cut(output, box, config.search)
        for offset, distance in _distances(target, image, box, config):
            w = distance.mul_(scale).exp_()
            weights += w
            total.addcmul_(_window(around, offset, config.search, nearest.shape), w[None])
        progress((n + 1) / len(examples), "propagating patches")
    return total / weights.clamp_min(1e-12)


def _distances(
    target: torch.Tensor, image: torch.Tensor, box: Box, config: PatchConfig, stride: int = 1
) -> Iterator[tuple[tuple[int, int, int], torch.Tensor]]:
    """Yield every `stride`-th offset of the window along each axis, and the patch distances (box) at that offset."""
    around = _cut(image, box, config.patch + config.search)
    start = -(config.search // stride) * stride
    for offset in itertools.product(range(start, config.search + 1, stride), repeat=3):
        squares = (target - _window(around, offset, config.search, target.shape[1:])).square_().mean(0)
        for axis in range(3):
            squares = mean_along(squares, axis, config.patch)
        yield (offset[0], offset[1], offset[2]), squares


def _cut(image: torch.Tensor, box: Box, margin: int) -> torch.Tensor:
    """Return `box` of (C, I, J, K), `margin` voxels wider; edges repeated."""
    for axis, (low, high) in enumerate(box, start=1):
        at = torch.arange(low - margin, high + margin).clamp(0, image.shape[axis] - 1)
        image = image.index_select(axis, at)
    return image


def _window(around: torch.Tensor, offset: tuple[int, ...], reach: int, shape: Sequence[int]) -> torch.Tensor:
    for axis, (step, size) in enumerate(zip(offset, shape), start=1):
        around = around.narrow(axis, reach + step, size)
    return around
