"""The volumes of a set of examples: what each shows, and whether they agree on the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.tasks.context_pairs import PairPaths
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume

MOST_LABELS = 256


@dataclass(frozen=True, eq=False)
class Pair:
    """One example as read. inputs: one to three scalar volumes; output: labels, or a scalar volume."""

    name: str
    inputs: tuple[Volume, ...]
    output: Volume


def read_pairs(paths: Sequence[PairPaths], answer: str) -> list[Pair]:
    """The volumes; answer: "labels", "image", or "auto". Raises RequestError where outputs are of both kinds."""
    pairs = []
    for one in paths:
        inputs = tuple(read_volume(path) for path in one.inputs)
        output = read_volume(one.output, allow_degenerate=True)
        pairs.append(Pair(one.name, inputs, output))
    seen = [looks_like_labels(pair.output.data) for pair in pairs]
    if answer == "auto" and any(seen) and not all(seen):
        odd = next(pair.name for pair, labels in zip(pairs, seen) if labels != seen[0])
        raise RequestError(
            f"Found label maps and images among the examples' outputs ({odd} differs from {pairs[0].name}), expected "
            "one kind. Leave one kind out, or say which it is with answer labels or image."
        )
    if answer == "labels" or (answer == "auto" and seen[0]):
        return [Pair(pair.name, pair.inputs, _as_labels(pair)) for pair in pairs]
    return pairs


def looks_like_labels(values: torch.Tensor) -> bool:
    """Whether (C, I, J, K) is a label map: whole numbers, few, and mostly the same from voxel to voxel."""
    if bool((values != values.round()).any()) or float(values.min()) < 0:
        return False
    inside = values[values != 0]
    distinct = len(inside.unique()) if len(inside) < 200_000 else len(inside[:: len(inside) // 200_000].unique())
    if distinct <= 4:
        return True
    if distinct > MOST_LABELS:
        return False
    same = values[..., 1:] == values[..., :-1]
    return float(same[values[..., 1:] != 0].float().mean()) > 0.6


def _as_labels(pair: Pair) -> Volume:
    values = pair.output.data[:1]
    if bool((values != values.round()).any()):
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            raise RequestError(
                f"Found fractions from {low:g} to {high:g} in the labels of {pair.name}, expected whole numbers (or a "
                "probability from 0 to 1, which is cut at one half). Export it as a label map, or say answer image."
            )
        values = (values > 0.5).float()
    return Volume(values.int(), pair.output.grid, "labels", pair.output.name)


def not_drawn(pair: Pair, labels: Sequence[int], absent: bool = False) -> frozenset[int]:
    """Labels that nobody drew in an example: those that it lacks although it shows others. One that shows nothing at
    all tells that nothing is there. absent: what any example lacks is not there, and all is drawn."""
    if absent or not labels:
        return frozenset()
    shown = set(pair.output.data.unique().tolist()) - {0}
    return frozenset(set(labels) - shown) if shown else frozenset()


def wanted_labels(pairs: Sequence[Pair], text: str) -> tuple[int, ...]:
    """Label values to find: those of `text`, else all but 0 of the examples. Raises RequestError."""
    present = sorted(set().union(*(pair.output.data.unique().tolist() for pair in pairs)) - {0})
    if not present:
        raise RequestError(
            "Found empty masks in all examples, expected at least one that shows what is to be found. Draw it in one."
        )
    if not text.strip():
        return tuple(present)
    try:
        wanted = [int(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise RequestError(f"Found labels = {text!r}, expected whole numbers with commas between them.") from None
    strange = [value for value in wanted if value not in present]
    if strange or not wanted:
        raise RequestError(f"Found the label {strange[:1]}, expected some of {present[:30]}, which the examples show.")
    return tuple(wanted)
