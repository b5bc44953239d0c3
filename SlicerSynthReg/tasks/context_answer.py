"""The answer of a set of examples: the network's, that of patches, or a mixture that the examples themselves choose.

How much each is worth depends on the task: the network cleans images up and knows heads, patches follow whatever
anatomy the examples show. So each example is asked about by the others, in two slices, in both ways, and the share of
the mixture that comes nearest to what is known there is taken for the target (`way` auto).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.methods.neuralizer.examples import answer_volume
from SlicerSynthReg.methods.neuralizer.model import Neuralizer
from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example, by_tellers, nth
from SlicerSynthReg.methods.propagation.patches import Box, PatchConfig, propagate

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the patches, in the mixtures that are tried."""
ALONE = 0.75
"""Where a single example leaves no other to try it on."""
FIXED = {"network": 0.0, "patches": 1.0}


@dataclass(frozen=True, eq=False)
class Judged:
    """share: of the patches in the answer. agreement: for each example Dice of what the others say of it, in two
    slices; none for images, and for fewer than two."""

    share: float
    agreement: tuple[float, ...] = ()


def answered(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    config: AskConfig,
    share: float,
    labels: bool,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """As `answer_volume`, (L, I, J, K); share: of the patches. labels: what no example shows is not looked for."""
    found = torch.zeros(examples[0].y.shape[0], *x.shape[1:])
    if share < 1:
        found = (1 - share) * answer_volume(model, x, examples, config, lambda done: progress((1 - share) * done))
    groups = by_tellers(examples) if share > 0 else []
    for n, (classes, tellers) in enumerate(groups):
        box = shown_box(tellers, PatchConfig().search) if labels else whole(x)
        told = nth(lambda done: progress(1 - share + share * done), n, len(groups))
        patches = propagate(x, [(e.x, e.y) for e in tellers], PatchConfig(), box, told)
        found[(classes, *inside(box))] += share * patches
    return found


def _by_patches(x: torch.Tensor, examples: Sequence[Example], box: Box) -> torch.Tensor:
    """(L, *box): each class by the examples that tell of it."""
    found = torch.zeros(examples[0].y.shape[0], *(high - low for low, high in box))
    for classes, tellers in by_tellers(examples):
        found[classes] = propagate(x, [(e.x, e.y) for e in tellers], PatchConfig(), box)
    return found


def judged(
    model: Neuralizer, examples: Sequence[Example], config: AskConfig, way: str, labels: bool, most: int
) -> Judged:
    """By asking about up to `most` of the examples; way: "auto", or one of FIXED, whose agreement is told alone."""
    shares = SHARES if way == "auto" else (FIXED[way],)
    if len(examples) < 2 or (way != "auto" and not labels):
        return Judged(FIXED.get(way, ALONE))
    axis = config.planes[0]
    places = _middle_slices(examples, axis, labels)
    quick = dataclasses.replace(config, planes=(axis,), spread=0, size=min(4, config.size))
    scores = []
    for n, one in enumerate(examples[:most]):
        others = [e for m, e in enumerate(examples) if m != n]
        told = [c for c in range(one.y.shape[0]) if c not in one.untold]
        by_network, by_patches, known = [], [], []
        for place in places:
            box = _slice_box(shown_box(examples, PatchConfig().search) if labels else whole(one.x), axis, place)
            known.append(one.y[(told, *inside(box))].flatten(1))
            if min(shares) < 1:
                cut = [_slice_of(e, axis, place) for e in (one, *others)]
                flat = [slice(None) if a == axis else part for a, part in enumerate(inside(box))]
                by_network.append(answer_volume(model, cut[0].x, cut[1:], quick)[(told, *flat)].flatten(1))
            if max(shares) > 0:
                by_patches.append(_by_patches(one.x, others, box)[told].flatten(1))
        truth = torch.cat(known, 1)
        network = torch.cat(by_network, 1) if by_network else torch.zeros_like(truth)
        patches = torch.cat(by_patches, 1) if by_patches else torch.zeros_like(truth)
        scores.append([_score(s * patches + (1 - s) * network, truth, labels) for s in shares])
    table = torch.tensor(scores)
    best = int(table.mean(0).argmax())
    return Judged(shares[best], tuple(table[:, best].tolist()) if labels else ())


def _score(found: torch.Tensor, truth: torch.Tensor, labels: bool) -> float:
    """Of (L, N): mean Dice of the classes that are there, or the error of an image with its sign turned."""
    if not labels:
        return -float(((found - truth) ** 2).mean())
    best, which = found.max(0)
    mask = torch.zeros_like(truth).scatter_(0, which[None], (best > 0.5).float()[None])
    both, sizes = (mask * truth).sum(1), mask.sum(1) + truth.sum(1)
    there = truth.sum(1) > 0
    return float((2 * both / sizes.clamp_min(1))[there].mean()) if bool(there.any()) else float(not mask.any())


def shown_box(examples: Sequence[Example], margin: int) -> Box:
    """Where any example shows something, and `margin` voxels about it."""
    shown = torch.stack([e.y.amax(0) for e in examples]).amax(0) != 0
    return _box(shown, margin) if bool(shown.any()) else whole(examples[0].x)


def whole(x: torch.Tensor) -> Box:
    i, j, k = x.shape[1:]
    return (0, i), (0, j), (0, k)


def _box(shown: torch.Tensor, margin: int) -> Box:
    places = shown.nonzero()
    low, high = (places.min(0).values - margin).clamp_min(0), places.max(0).values + 1 + margin
    i, j, k = ((a, min(b, n)) for a, b, n in zip(low.tolist(), high.tolist(), shown.shape))
    return i, j, k


def inside(box: Box) -> tuple[slice, slice, slice]:
    """Index of the voxels of a box."""
    i, j, k = (slice(low, high) for low, high in box)
    return i, j, k


def _slice_of(example: Example, axis: int, place: int) -> Example:
    """One slice of it, as a volume of one slice."""
    x, y = (values.narrow(1 + axis, place, 1) for values in (example.x, example.y))
    return dataclasses.replace(example, x=x, y=y)


def _slice_box(box: Box, axis: int, place: int) -> Box:
    i, j, k = ((place, place + 1) if a == axis else extent for a, extent in enumerate(box))
    return i, j, k


def _middle_slices(examples: Sequence[Example], axis: int, labels: bool) -> list[int]:
    """At one and two thirds of what is labelled, or of the whole."""
    if not labels:
        size = examples[0].x.shape[1 + axis]
        return sorted({size // 3, (2 * size) // 3})
    extent = torch.stack([e.y.amax(0) for e in examples]).amax(0).amax([a for a in range(3) if a != axis])
    shown = extent.nonzero()[:, 0].tolist()
    return sorted({shown[len(shown) // 3], shown[(2 * len(shown)) // 3]}) if shown else []
