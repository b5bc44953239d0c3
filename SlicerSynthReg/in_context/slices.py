"""Slices of the support set and the target, in any plane.

A support set that is smaller than configured is filled up with randomly drawn, slightly jittered copies (bootstrapping
of the context, Neuralizer section 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.in_context.ridge_head import RidgeHeadConfig
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.synthesis import draw


@dataclass(frozen=True)
class InferenceConfig:
    """How a volume is predicted slice by slice.

    planes: axes across which slices are cut; predictions of several planes are averaged. support_size: minimum size of
    the support set of a slice. support_slices: slices above and below the example slice at the target's position that
    join the support set. slice_step: only every slice_step-th slice of an example joins it. adjacent_slices: whether a
    single image is shown together with the slices above and below (2.5-D input). batch_size: classes, and examples to
    encode, per batch; larger batches leave the processor's cache. jitter_degrees, jitter_pixels: bounds of the jitter
    of repeated examples. ridge_head: None to keep the trained last layer.
    """

    planes: tuple[int, ...] = (2,)
    support_size: int = 8
    support_slices: int = 0
    slice_step: int = 1
    adjacent_slices: bool = False
    batch_size: int = 4
    jitter_degrees: float = 4.0
    jitter_pixels: float = 2.0
    ridge_head: RidgeHeadConfig | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Example:
    """One example on the common grid.

    x: images (C, I, J, K) in [0, 1], at most three. y: (L, I, J, K), one mask per class, or one image in [0, 1].
    unannotated: classes that were not annotated in this example.
    """

    x: torch.Tensor
    y: torch.Tensor
    unannotated: frozenset[int] = frozenset()

    def select(self, classes: Sequence[int]) -> Example:
        """Return the example with these classes only (ascending order; all of them annotated)."""
        return self if len(classes) == len(self.y) else Example(self.x, self.y[list(classes)])


def group_by_annotation(examples: Sequence[Example]) -> list[tuple[list[int], list[Example]]]:
    """Return (classes, examples) for each group of classes that the same examples annotate; the examples hold these
    classes only. Classes without any annotation are omitted."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for c in range(examples[0].y.shape[0]):
        groups.setdefault(tuple(n for n, e in enumerate(examples) if c not in e.unannotated), []).append(c)
    return [(classes, [examples[n].select(classes) for n in used]) for used, classes in groups.items() if used]


def stack_examples(x: torch.Tensor, y: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    """Return the network's support set (len(classes), N, 4, H, W) of inputs (N, 3, H, W) and outputs (N, L, H, W)."""
    return torch.stack([torch.cat([x, y[:, c : c + 1]], 1) for c in classes])


def support_positions(examples: Sequence[Example], n: int, config: InferenceConfig) -> list[int]:
    """Return the slice indices of the examples that support target slice `n`."""
    last, reach, step = examples[0].x.shape[1] - 1, config.support_slices, config.slice_step
    near = [index for index in range(max(0, n - reach), min(last, n + reach) + 1) if index % step == 0]
    return near or [n - n % step]


def slice_input(x: torch.Tensor, n: int, config: InferenceConfig) -> torch.Tensor:
    """Return the input (3, H, W) of slice `n`: each image of x (C, S, H, W), or one image with its adjacent slices."""
    last = x.shape[1] - 1
    if config.adjacent_slices and x.shape[0] == 1:
        return torch.stack([x[0, min(max(n + step, 0), last)] for step in (-1, 0, 1)])
    planes = x[:, n]
    return torch.cat([planes, planes.new_zeros(3 - len(planes), *planes.shape[1:])])


def support_set(examples: Sequence[Example], n: int, config: InferenceConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs (N, 3, H, W) and outputs (N, L, H, W) of the support set of slice `n`, N >= support_size."""
    generator = torch.Generator().manual_seed(config.seed * 100_003 + n)
    return fill_support(*nearby_slices(examples, n, config), config, generator)


def nearby_slices(examples: Sequence[Example], n: int, config: InferenceConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and outputs of the example slices that support slice `n`, without repetition."""
    x, y = zip(*(example_slices(examples, index, config) for index in support_positions(examples, n, config)))
    return torch.cat(x), torch.cat(y)


def example_slices(examples: Sequence[Example], n: int, config: InferenceConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs (N, 3, H, W) and outputs (N, L, H, W) of slice `n` of each example."""
    return torch.stack([slice_input(e.x, n, config) for e in examples]), torch.stack([e.y[:, n] for e in examples])


def fill_support(
    x: torch.Tensor, y: torch.Tensor, config: InferenceConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x (N, 3, H, W) and y (N, L, H, W) filled up to `support_size` by jittered copies drawn with replacement;
    input and output share the jitter."""
    missing = config.support_size - len(x)
    if missing <= 0:
        return x, y
    both = torch.cat([x, y], 1)
    copies = []
    for _ in range(missing):
        planes = both[draw.integer(generator, 0, len(x) - 1)]
        angle = math.radians(draw.uniform(generator, -config.jitter_degrees, config.jitter_degrees))
        shift = [draw.uniform(generator, -config.jitter_pixels, config.jitter_pixels) for _ in range(2)]
        scale = 1 + draw.uniform(generator, -0.04, 0.04)
        copies.append(_transform(planes, angle, shift, scale))
    filled = torch.cat([both, torch.stack(copies)])
    return filled[:, : x.shape[1]], filled[:, x.shape[1] :]


def _transform(planes: torch.Tensor, angle: float, shift: list[float], scale: float) -> torch.Tensor:
    """Return (C, H, W) rotated about its centre, scaled and shifted; edges repeated."""
    height, width = planes.shape[-2:]
    i, j = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    index = torch.stack(
        [
            torch.zeros(height, width),
            cos * i - sin * j + (height - 1) / 2 + shift[0],
            sin * i + cos * j + (width - 1) / 2 + shift[1],
        ]
    )
    return sample(planes[None, :, None], index[None, :, None], padding="border")[0, :, 0]
