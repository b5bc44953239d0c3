"""Non-local patch-based propagation: every voxel takes its answer from the patches of examples that look like its own.

Coupe et al., Patch-based segmentation using expert priors (NeuroImage 54, 2011). For a voxel at p and the voxels q of
all examples within a search window about p,

    y(p) = sum_q w(p, q) y(q) / sum_q w(p, q),    w(p, q) = exp(-d(p, q) / h(p)),    h(p) = lambda min_q d(p, q) + eps

with d the mean squared difference of two patches. Nothing is trained, any anatomy and any contrast will do, all classes
are answered in one go, and no example has to be aligned better than the window reaches. Departures: patches are not
chosen beforehand by their mean and variance; the minimum is taken over every other offset; y may be an image.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.space.smoothing import mean_along

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First voxel and the one behind the last, by axis."""


@dataclass(frozen=True)
class PatchConfig:
    """patch, search: voxels that a patch and the window reach from their middle. decay: lambda."""

    patch: int = 1
    search: int = 3
    decay: float = 0.5


def propagate(
    x: torch.Tensor,
    examples: Sequence[tuple[torch.Tensor, torch.Tensor]],
    config: PatchConfig,
    box: Box,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """x (C, I, J, K) in [0, 1]; examples: images (C, I, J, K) and answers (L, I, J, K) -> (L, *box): in `box` alone.

    Memory: that of one example's box beside the inputs.
    """
    target = _cut(x, box, config.patch)
    nearest = torch.full([high - low for low, high in box], torch.inf)
    for image, _ in examples:
        for _, distance in _distances(target, image, box, config, 2):
            torch.minimum(nearest, distance, out=nearest)
    scale = -1 / (config.decay * nearest + 1e-5)
    total = torch.zeros(examples[0][1].shape[0], *nearest.shape)
    weights = torch.zeros_like(nearest)
    for n, (image, answer) in enumerate(examples):
        around = _cut(answer, box, config.search)
        for offset, distance in _distances(target, image, box, config):
            w = distance.mul_(scale).exp_()
            weights += w
            total.addcmul_(_window(around, offset, config.search, nearest.shape), w[None])
        progress((n + 1) / len(examples))
    return total / weights.clamp_min(1e-12)


def _distances(
    target: torch.Tensor, image: torch.Tensor, box: Box, config: PatchConfig, stride: int = 1
) -> Iterator[tuple[tuple[int, int, int], torch.Tensor]]:
    """For every offset of the window, or every `stride`-th by axis, the mean squared difference, of the box's size."""
    around = _cut(image, box, config.patch + config.search)
    start = -(config.search // stride) * stride
    for offset in itertools.product(range(start, config.search + 1, stride), repeat=3):
        squares = (target - _window(around, offset, config.search, target.shape[1:])).square_().mean(0)
        for axis in range(3):
            squares = mean_along(squares, axis, config.patch)
        yield (offset[0], offset[1], offset[2]), squares


def _cut(image: torch.Tensor, box: Box, margin: int) -> torch.Tensor:
    """`box` of (C, I, J, K) and `margin` voxels about it; beyond the image its edge is repeated."""
    for axis, (low, high) in enumerate(box, start=1):
        at = torch.arange(low - margin, high + margin).clamp(0, image.shape[axis] - 1)
        image = image.index_select(axis, at)
    return image


def _window(around: torch.Tensor, offset: tuple[int, ...], reach: int, shape: Sequence[int]) -> torch.Tensor:
    for axis, (step, size) in enumerate(zip(offset, shape), start=1):
        around = around.narrow(axis, reach + step, size)
    return around
