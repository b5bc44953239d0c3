"""From example volumes to the answer for a volume: slice after slice, in any plane.

Every volume lies on one common grid. A slice of the target is asked with the examples' slices of the same place, and
with those above and below if wanted, which forgives misalignment across the slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from SlicerSynthReg.methods.neuralizer.model import Encoded, Neuralizer
from SlicerSynthReg.methods.neuralizer.readout import Readout, ReadoutConfig, drawn_pixels, fit_readout, is_mask
from SlicerSynthReg.methods.neuralizer.slices import (
    AskConfig,
    Example,
    by_tellers,
    nth,
    pairs_of,
    places,
    slice_context,
    slice_input,
    slices_at,
    slices_near,
)

FITTING = 0.25
"""Of an answer's time, about: fitting the last step."""


def answer_volume(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    config: AskConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """x (C, I, J, K) in [0, 1] -> (L, I, J, K) in [0, 1], on the examples' grid; L as in the examples.

    A class is asked of those examples that tell of it; what none tells of is 0. Where none of them shows it in a slice,
    the answer is 0 without asking. Memory does not grow with the number of slices asked. All examples have the same C
    and L as the target. A one-way network encodes each slice of the examples once, whichever slices of the target ask
    for it, and its last step can be fitted to them (`config.readout`).
    """
    total = torch.zeros(examples[0].y.shape[0], *x.shape[1:])
    groups = by_tellers(examples)
    for n, (classes, tellers) in enumerate(groups):
        total[classes] = _answer_alike(model, x, tellers, config, nth(progress, n, len(groups)))
    return total


def _answer_alike(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    config: AskConfig,
    progress: Callable[[float], None],
) -> torch.Tensor:
    """Of classes that all examples tell of."""
    total = torch.zeros(examples[0].y.shape[0], *x.shape[1:])
    asked, count = 0, sum(x.shape[1 + axis] for axis in config.planes)
    fitting = FITTING if config.readout else 0.0
    for axis in config.planes:
        turned = [Example(e.x.movedim(1 + axis, 1), e.y.movedim(1 + axis, 1)) for e in examples]
        target = x.movedim(1 + axis, 1)
        answers = total.movedim(1 + axis, 1)
        memory = SliceMemory(model, turned, config) if model.config.one_way else None
        readouts = fitted(model, turned, config, mirrored=axis != 0) if model.config.one_way else {}
        for n in range(target.shape[1]):
            answers[:, n] += _answer_slice(model, target, turned, n, config, memory, readouts) / len(config.planes)
            asked += 1
            progress(fitting + (1 - fitting) * asked / count)
    return total


def _answer_slice(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    n: int,
    config: AskConfig,
    memory: SliceMemory | None,
    readouts: Mapping[int, Readout],
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
        if memory is not None and readouts:
            first, columns = model.columns(given, memory.of(n, part))
            better = [readouts[c].of(first[row], columns[row]) for row, c in enumerate(part)]
            answer = torch.stack(better)
        elif memory is not None:
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
                encoded = self._encode(*slices_at(self._examples, place, self._config), new)
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
        return _encoded(self._model, x, y, classes, self._config)


def fitted(model: Neuralizer, examples: Sequence[Example], config: AskConfig, mirrored: bool) -> dict[int, Readout]:
    """The last step for each class that an example shows: each example (slices along the first spatial axis) is asked
    about by the others. A single image is asked about by its mirror image along the next axis, if `mirrored`; of a
    single mask, which may lie on one side, nothing can be asked, and {} is returned."""
    if config.readout is None or (len(examples) == 1 and (not mirrored or is_mask(examples[0].y))):
        return {}
    found = {}
    for c in range(examples[0].y.shape[0]):
        shown = [n for n in range(examples[0].y.shape[1]) if any(bool((e.y[c, n] != 0).any()) for e in examples)]
        if shown:
            found[c] = _fitted_to(model, examples, c, shown, config, config.readout)
    return found


def _fitted_to(
    model: Neuralizer, examples: Sequence[Example], c: int, shown: Sequence[int], config: AskConfig, how: ReadoutConfig
) -> Readout:
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(how.seed)
    count = min(len(shown), max(1, how.looks // len(examples)))
    looks = [shown[(2 * k + 1) * len(shown) // (2 * count)] for k in range(count)]
    tellers = examples if len(examples) > 1 else [Example(e.x.flip(2), e.y.flip(2)) for e in examples]
    columns, answers, truth, stands_for, example = [], [], [], [], []
    for n in looks:
        told = [_encoded(model, *slices_near([one], n, config), [c], config) for one in tellers]
        y = torch.stack([e.y[c, n] for e in examples]).to(device)
        for row, one in enumerate(examples):
            others = [each for m, each in enumerate(told) if m != row] or told
            x = slice_input(one.x, n, config)[None].to(device)
            answer, known = model.columns(x, Encoded.pooled(others, [1] * len(others)))
            drawn, each = drawn_pixels(y, how.pixels // (count * len(examples)), how.near, generator)
            columns.append(known[0].flatten(0, 1)[drawn])
            answers.append(answer[0, 0].flatten()[drawn])
            truth.append(y[row].flatten()[drawn])
            stands_for.append(each)
            example.append(torch.full_like(drawn, row))
    seen, answer, y, share, whose = (torch.cat(one) for one in (columns, answers, truth, stands_for, example))
    return fit_readout(seen, answer, y, share, whose, how)


def _encoded(model: Neuralizer, x: torch.Tensor, y: torch.Tensor, classes: Sequence[int], config: AskConfig) -> Encoded:
    """Examples' slices x (N, 3, H, W), y (N, L, H, W), a batch element a class."""
    device = next(model.parameters()).device
    return model.encode(pairs_of(x, y, classes).to(device), max(config.at_once, len(classes)))


def roughness(mask: torch.Tensor, axis: int) -> float:
    """How often neighbours across slices differ, over how often neighbours within a slice do: mask (I, J, K) bool.

    1 for a shape that is alike in all directions; flicker from slice to slice raises it. NaN for an empty mask.
    """
    changes = [float((mask.diff(dim=a) if mask.shape[a] > 1 else mask[:0]).float().sum()) for a in range(3)]
    within = sum(c for a, c in enumerate(changes) if a != axis) / 2
    return changes[axis] / within if within else math.nan
