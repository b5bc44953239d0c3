"""The slices that a question about a volume consists of: the target's, the examples', in any plane.

Too few examples are told again, slightly moved (the paper's bootstrapping of the context).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.methods.neuralizer.readout import ReadoutConfig
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.synth import draw


@dataclass(frozen=True)
class AskConfig:
    """planes: axes across which slices are cut; answers of several are averaged. size: examples that every slice is
    asked with, repeated with small moves if there are fewer. spread: slices above and below from each example that are
    examples too. apart: of the examples' slices only every so many-th is one. neighbours: whether a single image is
    shown together with the slices above and below. at_once: questions, and examples that are encoded, in one batch:
    more of them leave the processor's cache. move_degrees, move_pixels: of repeated examples. readout: how the last
    step is fitted to the examples; None: it stays as it was trained."""

    planes: tuple[int, ...] = (2,)
    size: int = 8
    spread: int = 0
    apart: int = 1
    neighbours: bool = False
    at_once: int = 4
    move_degrees: float = 4.0
    move_pixels: float = 2.0
    readout: ReadoutConfig | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Example:
    """x (C, I, J, K) images in [0, 1], at most three; y (L, I, J, K) a mask for each of L classes, or one image.
    untold: classes that nobody drew in it, of which it tells nothing."""

    x: torch.Tensor
    y: torch.Tensor
    untold: frozenset[int] = frozenset()

    def of(self, classes: Sequence[int]) -> Example:
        """What it tells of these classes alone, in ascending order, all of which it tells of."""
        return self if len(classes) == len(self.y) else Example(self.x, self.y[list(classes)])


def by_tellers(examples: Sequence[Example]) -> list[tuple[list[int], list[Example]]]:
    """Classes that the same examples tell of, and those examples with no other classes. What none tells is left out."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for c in range(examples[0].y.shape[0]):
        groups.setdefault(tuple(n for n, e in enumerate(examples) if c not in e.untold), []).append(c)
    return [(classes, [examples[n].of(classes) for n in tellers]) for tellers, classes in groups.items() if tellers]


def nth(progress: Callable[[float], None], n: int, count: int) -> Callable[[float], None]:
    """For the progress of part `n` of `count` equal ones: tells that of the whole."""
    return lambda done: progress((n + done) / count)


def pairs_of(x: torch.Tensor, y: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    """Inputs (N, 3, H, W) and answers (N, L, H, W) -> (len(classes), N, 4, H, W), as the network takes its examples."""
    return torch.stack([torch.cat([x, y[:, c : c + 1]], 1) for c in classes])


def places(examples: Sequence[Example], n: int, config: AskConfig) -> list[int]:
    """Slices of the examples that slice `n` is asked with."""
    last, spread, apart = examples[0].x.shape[1] - 1, config.spread, config.apart
    near = [place for place in range(max(0, n - spread), min(last, n + spread) + 1) if place % apart == 0]
    return near or [n - n % apart]


def slice_input(x: torch.Tensor, n: int, config: AskConfig) -> torch.Tensor:
    """(3, H, W): slice `n` of each image of x (C, S, H, W), or of one image with the slices above and below."""
    last = x.shape[1] - 1
    if config.neighbours and x.shape[0] == 1:
        return torch.stack([x[0, min(max(n + step, 0), last)] for step in (-1, 0, 1)])
    planes = x[:, n]
    return torch.cat([planes, planes.new_zeros(3 - len(planes), *planes.shape[1:])])


def slice_context(examples: Sequence[Example], n: int, config: AskConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (N, 3, H, W) and answers (N, L, H, W) of the examples at slice `n`, N at least `size`."""
    generator = torch.Generator().manual_seed(config.seed * 100_003 + n)
    return bootstrapped(*slices_near(examples, n, config), config, generator)


def slices_near(examples: Sequence[Example], n: int, config: AskConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and answers of all slices of the examples that slice `n` is asked with, none repeated."""
    x, y = zip(*(slices_at(examples, place, config) for place in places(examples, n, config)))
    return torch.cat(x), torch.cat(y)


def slices_at(examples: Sequence[Example], n: int, config: AskConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and answers of the examples at slice `n` alone."""
    return torch.stack([slice_input(e.x, n, config) for e in examples]), torch.stack([e.y[:, n] for e in examples])


def bootstrapped(
    x: torch.Tensor, y: torch.Tensor, config: AskConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """x (N, 3, H, W), y (N, L, H, W) with further ones up to `size`: drawn with replacement, x and y moved alike."""
    missing = config.size - len(x)
    if missing <= 0:
        return x, y
    both = torch.cat([x, y], 1)
    moved = []
    for _ in range(missing):
        one = both[draw.integer(generator, 0, len(x) - 1)]
        angle = math.radians(draw.uniform(generator, -config.move_degrees, config.move_degrees))
        shift = [draw.uniform(generator, -config.move_pixels, config.move_pixels) for _ in range(2)]
        scale = 1 + draw.uniform(generator, -0.04, 0.04)
        moved.append(_moved(one, angle, shift, scale))
    together = torch.cat([both, torch.stack(moved)])
    return together[:, : x.shape[1]], together[:, x.shape[1] :]


def _moved(planes: torch.Tensor, angle: float, shift: list[float], scale: float) -> torch.Tensor:
    """(C, H, W) turned about its centre, scaled and shifted; edges repeated."""
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
