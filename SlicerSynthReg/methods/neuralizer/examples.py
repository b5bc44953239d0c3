"""From example volumes to the answer for a volume: slice after slice, in any plane.

Every volume lies on one common grid. A slice of the target is asked with the examples' slices of the same place, and
with those above and below if wanted, which forgives misalignment across the slices. Too few examples are told again,
slightly moved (the paper's bootstrapping of the context).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.methods.neuralizer.model import Encoded, Neuralizer
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.synth import draw


@dataclass(frozen=True)
class AskConfig:
    """planes: axes across which slices are cut; answers of several are averaged. size: examples that every slice is
    asked with, repeated with small moves if there are fewer. spread: slices above and below from each example that are
    examples too. apart: of the examples' slices only every so many-th is one. neighbours: whether a single image is
    shown together with the slices above and below. at_once: questions, and examples that are encoded, in one batch:
    more of them leave the processor's cache. move_degrees, move_pixels: of repeated examples."""

    planes: tuple[int, ...] = (2,)
    size: int = 8
    spread: int = 0
    apart: int = 1
    neighbours: bool = False
    at_once: int = 4
    move_degrees: float = 4.0
    move_pixels: float = 2.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Example:
    """x (C, I, J, K) images in [0, 1], at most three; y (L, I, J, K) a mask for each of L classes, or one image."""

    x: torch.Tensor
    y: torch.Tensor


def answer_volume(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    config: AskConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """x (C, I, J, K) in [0, 1] -> (L, I, J, K) in [0, 1], on the examples' grid; L as in the examples.

    Where no example shows a class in a slice, the answer is 0 without asking. Memory does not grow with the number of
    slices asked. All examples have the same C and L as the target. A one-way network encodes each slice of the examples
    once, whichever slices of the target ask for it.
    """
    classes = examples[0].y.shape[0]
    total = torch.zeros(classes, *x.shape[1:])
    asked, count = 0, sum(x.shape[1 + axis] for axis in config.planes)
    for axis in config.planes:
        turned = [Example(e.x.movedim(1 + axis, 1), e.y.movedim(1 + axis, 1)) for e in examples]
        target = x.movedim(1 + axis, 1)
        answers = total.movedim(1 + axis, 1)
        memory = SliceMemory(model, turned, config) if model.config.one_way else None
        for n in range(target.shape[1]):
            answers[:, n] += _answer_slice(model, target, turned, n, config, memory) / len(config.planes)
            asked += 1
            progress(asked / count)
    return total


def _answer_slice(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    n: int,
    config: AskConfig,
    memory: SliceMemory | None,
) -> torch.Tensor:
    """(L, H, W) for slice `n` of the first spatial axis."""
    device = next(model.parameters()).device
    out = torch.zeros(examples[0].y.shape[0], *x.shape[2:])
    near = torch.stack([e.y[:, place] for place in places(examples, n, config) for e in examples])
    shown = [c for c in range(out.shape[0]) if bool((near[:, c] != 0).any())]
    question = slice_input(x, n, config)[None].to(device)
    for start in range(0, len(shown), config.at_once):
        part = shown[start : start + config.at_once]
        given = question.expand(len(part), -1, -1, -1)
        if memory is not None:
            answer = model.answer(given, memory.of(n, part))
        else:
            answer = model(given, pairs_of(*slice_context(examples, n, config), part).to(device))
        out[part] = answer[:, 0].clamp(0, 1).cpu()
    return out


class SliceMemory:
    """What a one-way network remembers of the examples' slices (first spatial axis): each is encoded once a class and
    kept until the slices asked have passed it. An encoding is a mean over examples, so that of several slices is the
    mean of theirs."""

    def __init__(self, model: Neuralizer, examples: Sequence[Example], config: AskConfig) -> None:
        self._model, self._examples, self._config = model, examples, config
        self._known: dict[tuple[int, int], Encoded] = {}

    def of(self, n: int, classes: Sequence[int]) -> Encoded:
        """What `slice_context` gives for slice `n`, encoded: a batch element a class. Asked in order of `n`."""
        near = places(self._examples, n, self._config)
        self._known = {key: value for key, value in self._known.items() if key[0] >= near[0]}
        for place in near:
            new = [c for c in classes if (place, c) not in self._known]
            if new:
                encoded = self._encode(*_slices(self._examples, place, self._config), new)
                self._known.update({(place, c): encoded.rows(row, row + 1) for row, c in enumerate(new)})
        parts = [Encoded.stacked([self._known[place, c] for c in classes]) for place in near]
        counts = [len(self._examples)] * len(near)
        missing = self._config.size - sum(counts)
        if missing > 0:
            x, y = slice_context(self._examples, n, self._config)
            parts.append(self._encode(x[-missing:], y[-missing:], classes))
            counts.append(missing)
        return Encoded.pooled(parts, counts)

    def _encode(self, x: torch.Tensor, y: torch.Tensor, classes: Sequence[int]) -> Encoded:
        device = next(self._model.parameters()).device
        at_once = max(self._config.at_once, len(classes))
        return self._model.encode(pairs_of(x, y, classes).to(device), at_once)


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
    x, y = (torch.cat(both) for both in zip(*(_slices(examples, at, config) for at in places(examples, n, config))))
    return bootstrapped(x, y, config, torch.Generator().manual_seed(config.seed * 100_003 + n))


def _slices(examples: Sequence[Example], n: int, config: AskConfig) -> tuple[torch.Tensor, torch.Tensor]:
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


def roughness(mask: torch.Tensor, axis: int) -> float:
    """How often neighbours across slices differ, over how often neighbours within a slice do: mask (I, J, K) bool.

    1 for a shape that is alike in all directions; flicker from slice to slice raises it. NaN for an empty mask.
    """
    changes = [float((mask.diff(dim=a) if mask.shape[a] > 1 else mask[:0]).float().sum()) for a in range(3)]
    within = sum(c for a, c in enumerate(changes) if a != axis) / 2
    return changes[axis] / within if within else math.nan
