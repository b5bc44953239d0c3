"""Images of a set of examples, in memory: inputs, outputs, and whether the outputs are of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.example_pairs import ExamplePaths
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.spatial.intensity import subsample

MAX_LABELS = 256


@dataclass(frozen=True, eq=False)
class ExamplePair:
    """One example. inputs: one to three scalar images of one world; output: label map or scalar image."""

    name: str
    inputs: tuple[Image, ...]
    output: Image


def read_examples(paths: Sequence[ExamplePaths], kind: str) -> list[ExamplePair]:
    """Read the images of the examples. kind: as for `unify_outputs`. Raises ImageError, RequestError."""
    pairs = []
    for item in paths:
        inputs = tuple(read_image(path) for path in item.inputs)
        pairs.append(ExamplePair(item.name, inputs, read_image(item.output, allow_degenerate=True)))
    return unify_outputs(pairs, kind)


def unify_outputs(pairs: Sequence[ExamplePair], kind: str) -> list[ExamplePair]:
    """Return the examples with all outputs as label maps, or as images.

    kind: "labels", "image", or "auto" (detect). Raises RequestError (codes "examples-mixed", "labels-fractional").
    """
    detected = [pair.output.kind == "labels" or is_label_map(pair.output.data) for pair in pairs]
    if kind == "auto" and any(detected) and not all(detected):
        odd = next(pair.name for pair, labels in zip(pairs, detected) if labels != detected[0])
        raise RequestError(
            f"Found label maps and images among the examples' outputs ({odd} differs from {pairs[0].name}), expected "
            "one kind. Remove one kind, or set output_kind to labels or image.",
            code="examples-mixed",
        )
    if kind == "labels" or (kind == "auto" and detected[0]):
        return [replace(pair, output=_as_labels(pair)) for pair in pairs]
    return [replace(pair, output=_as_scalar(pair.output)) for pair in pairs]


def is_label_map(values: torch.Tensor) -> bool:
    """Return whether `values` (C, I, J, K) look like labels: few non-negative integers in contiguous regions."""
    if bool((values != values.round()).any()) or float(values.min()) < 0:
        return False
    inside = values[values != 0]
    distinct = len(subsample(inside, 200_000, at_least=True).unique())
    if distinct <= 4:
        return True
    if distinct > MAX_LABELS:
        return False
    same = values[..., 1:] == values[..., :-1]
    return float(same[values[..., 1:] != 0].float().mean()) > 0.6


def _as_labels(pair: ExamplePair) -> Image:
    if pair.output.kind == "labels":
        return replace(pair.output, data=pair.output.data[:1].int())
    values = pair.output.data[:1]
    if bool((values != values.round()).any()):
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            raise RequestError(
                f"Found fractions from {low:g} to {high:g} in the labels of {pair.name}, expected integers (or "
                "probabilities from 0 to 1, which are thresholded at 0.5). Export a label map, or set output_kind to "
                "image.",
                code="labels-fractional",
            )
        values = (values > 0.5).float()
    return Image(values.int(), pair.output.grid, "labels", pair.output.name)


def _as_scalar(image: Image) -> Image:
    return image if image.kind == "scalar" else Image(image.data.float(), image.grid, "scalar", image.name)


def unannotated_labels(pair: ExamplePair, labels: Sequence[int], missing_is_background: bool = False) -> frozenset[int]:
    """Return the labels that were not annotated in an example: those that it lacks although it shows others.

    An empty output annotates all labels as absent. missing_is_background: all labels count as annotated.
    """
    if missing_is_background or not labels:
        return frozenset()
    present = set(pair.output.data.unique().tolist()) - {0}
    return frozenset(set(labels) - present) if present else frozenset()


def select_labels(pairs: Sequence[ExamplePair], text: str) -> tuple[int, ...]:
    """Return the label values named in `text` ("1, 3"), or all of the examples except 0.

    Raises RequestError (codes "examples-empty", "labels-unreadable", "label-unknown").
    """
    present = sorted(set().union(*(pair.output.data.unique().tolist() for pair in pairs)) - {0})
    if not present:
        raise RequestError(
            "Found empty masks in all examples, expected at least one with the structure to segment. Annotate one.",
            code="examples-empty",
        )
    if not text.strip():
        return tuple(present)
    try:
        chosen = [int(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise RequestError(
            f"Found labels = {text!r}, expected integers separated by commas. Pass labels such as 1,3.",
            code="labels-unreadable",
        ) from None
    unknown = [value for value in chosen if value not in present]
    if unknown or not chosen:
        raise RequestError(
            f"Found the label {unknown[:1]}, expected some of {present[:30]}, which the examples show. Name one of "
            "them.",
            code="label-unknown",
        )
    return tuple(chosen)
