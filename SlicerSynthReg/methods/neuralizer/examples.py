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

from SlicerSynthReg.methods.neuralizer.model import Neuralizer
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.synth import draw


@dataclass(frozen=True)
class AskConfig:
    """planes: axes across which slices are cut; answers of several are averaged. size: examples that every slice is
    asked with, repeated with small moves if there are fewer. spread: slices above and below from each example that are
    examples too. neighbours: whether a single image is shown together with the slices above and below. at_once:
    questions in one batch. move_degrees, move_pixels: of repeated examples."""

    planes: tuple[int, ...] = (2,)
    size: int = 8
    spread: int = 0
    neighbours: bool = False
    at_once: int = 8
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
    slices asked. All examples have the same C and L as the target.
    """
    classes = examples[0].y.shape[0]
    total = torch.zeros(classes, *x.shape[1:])
    asked, count = 0, sum(x.shape[1 + axis] for axis in config.planes)
    for axis in config.planes:
        turned = [Example(e.x.movedim(1 + axis, 1), e.y.movedim(1 + axis, 1)) for e in examples]
        target = x.movedim(1 + axis, 1)
        answers = total.movedim(1 + axis, 1)
        for n in range(target.shape[1]):
            answers[:, n] += _answer_slice(model, target, turned, n, config) / len(config.planes)
            asked += 1
            progress(asked / count)
    return total


def _answer_slice(
    model: Neuralizer, x: torch.Tensor, examples: Sequence[Example], n: int, config: AskConfig
) -> torch.Tensor:
    """(L, H, W) for slice `n` of the first spatial axis."""
    device = next(model.parameters()).device
    out = torch.zeros(examples[0].y.shape[0], *x.shape[2:])
    context = slice_context(examples, n, config)
    shown = [c for c in range(out.shape[0]) if bool((context[1][:, c] != 0).any())]
    question = slice_input(x, n, config)[None]
    for start in range(0, len(shown), config.at_once):
        part = shown[start : start + config.at_once]
        pairs = torch.stack([torch.cat([context[0], context[1][:, c : c + 1]], 1) for c in part])
        given = question.expand(len(part), -1, -1, -1)
        answer = ask(model, given.to(device), pairs.to(device), config.at_once)
        out[part] = answer[:, 0].clamp(0, 1).cpu()
    return out


def ask(model: Neuralizer, x: torch.Tensor, context: torch.Tensor, at_once: int) -> torch.Tensor:
    """The model's answer; the examples of a one-way network pass through it a few at a time."""
    if model.config.one_way:
        return model.answer(x, model.encode(context, max(at_once, len(x))))
    return model(x, context)


def slice_input(x: torch.Tensor, n: int, config: AskConfig) -> torch.Tensor:
    """(3, H, W): slice `n` of each image of x (C, S, H, W), or of one image with the slices above and below."""
    last = x.shape[1] - 1
    if config.neighbours and x.shape[0] == 1:
        return torch.stack([x[0, min(max(n + step, 0), last)] for step in (-1, 0, 1)])
    planes = x[:, n]
    return torch.cat([planes, planes.new_zeros(3 - len(planes), *planes.shape[1:])])


def slice_context(examples: Sequence[Example], n: int, config: AskConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (N, 3, H, W) and answers (N, L, H, W) of the examples at slice `n`, N at least `size`."""
    last = examples[0].x.shape[1] - 1
    places = [n + step for step in range(-config.spread, config.spread + 1) if 0 <= n + step <= last]
    x = torch.stack([slice_input(e.x, at, config) for at in places for e in examples])
    y = torch.stack([e.y[:, at] for at in places for e in examples])
    return bootstrapped(x, y, config, torch.Generator().manual_seed(config.seed * 100_003 + n))


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
