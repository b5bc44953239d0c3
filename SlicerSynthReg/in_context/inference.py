"""Slice-by-slice prediction of a volume from a support set, in any plane.

All volumes lie on one common grid. A slice of the target is predicted from the example slices at the same position,
and optionally from those above and below, which tolerates through-plane misalignment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.in_context.neuralizer import Neuralizer, SupportEncoding
from SlicerSynthReg.in_context.ridge_head import (
    PixelSample,
    RidgeHead,
    RidgeHeadConfig,
    fit_ridge_head,
    is_mask,
    sample_pixels,
)
from SlicerSynthReg.in_context.slices import (
    Example,
    InferenceConfig,
    example_slices,
    group_by_annotation,
    nearby_slices,
    slice_input,
    stack_examples,
    support_positions,
    support_set,
)
from SlicerSynthReg.progress import Progress, no_progress, sub_progress

FITTING = 0.25
"""Approximate share of the ridge heads in the prediction time."""


def predict_volume(
    model: Neuralizer,
    x: torch.Tensor,
    examples: Sequence[Example],
    config: InferenceConfig,
    progress: Progress = no_progress,
) -> torch.Tensor:
    """Return the prediction (L, I, J, K) in [0, 1] for a target x (C, I, J, K) in [0, 1], on the examples' grid.

    Each class is predicted from the examples that annotate it; unannotated classes are 0. A slice in which no example
    shows the class is 0. Memory does not grow with the number of slices. All examples have the same C and L. A one-way
    network encodes each example slice once and can use ridge heads (`config.ridge_head`).
    """
    total = torch.zeros(examples[0].y.shape[0], *x.shape[1:])
    groups = group_by_annotation(examples)
    for n, (classes, annotated) in enumerate(groups):
        part = sub_progress(progress, n / len(groups), (n + 1) / len(groups))
        total[classes] = _predict_group(model, x, annotated, config, part)
    return total


def _predict_group(
    model: Neuralizer, x: torch.Tensor, examples: Sequence[Example], config: InferenceConfig, progress: Progress
) -> torch.Tensor:
    """Return the prediction (L, I, J, K) of classes that all examples annotate."""
    total = torch.zeros(examples[0].y.shape[0], *x.shape[1:])
    done, count = 0, sum(x.shape[1 + axis] for axis in config.planes)
    fitting = FITTING if config.ridge_head else 0.0
    for axis in config.planes:
        oriented = [Example(e.x.movedim(1 + axis, 1), e.y.movedim(1 + axis, 1)) for e in examples]
        target, prediction = x.movedim(1 + axis, 1), total.movedim(1 + axis, 1)
        plane = _PlanePredictor.of(model, oriented, config, mirror=axis != 0)
        for n in range(target.shape[1]):
            prediction[:, n] += plane.predict(target, n) / len(config.planes)
            done += 1
            progress(fitting + (1 - fitting) * done / count, "predicting slices")
    return total


class EncodingCache:
    """Encodings of example slices (first spatial axis) by a one-way network: each slice is encoded once per class and
    kept until the target slices have passed it. The encoding of several slices is the mean of theirs."""

    def __init__(self, model: Neuralizer, examples: Sequence[Example], config: InferenceConfig) -> None:
        self._model, self._examples, self._config = model, examples, config
        self._encodings: dict[tuple[int, int], SupportEncoding] = {}

    def support(self, n: int, classes: Sequence[int]) -> SupportEncoding:
        """Return the encoding of `support_set` for slice `n`, one batch element per class. Call in order of `n`."""
        near = support_positions(self._examples, n, self._config)
        self._encodings = {key: value for key, value in self._encodings.items() if key[0] >= near[0]}
        for index in near:
            new = [c for c in classes if (index, c) not in self._encodings]
            if new:
                encoding = self._encode(*example_slices(self._examples, index, self._config), new)
                self._encodings.update({(index, c): encoding.rows(row, row + 1) for row, c in enumerate(new)})
        parts = [SupportEncoding.concatenate([self._encodings[index, c] for c in classes]) for index in near]
        counts = [len(self._examples)] * len(near)
        missing = self._config.support_size - sum(counts)
        if missing > 0:
            x, y = support_set(self._examples, n, self._config)
            parts.append(self._encode(x[-missing:], y[-missing:], classes))
            counts.append(missing)
        return SupportEncoding.pool(parts, counts)

    def _encode(self, x: torch.Tensor, y: torch.Tensor, classes: Sequence[int]) -> SupportEncoding:
        return _encode(self._model, x, y, classes, self._config)


@dataclass(frozen=True, eq=False)
class _PlanePredictor:
    """Predicts slices across the first spatial axis. cache, heads: of a one-way network."""

    model: Neuralizer
    examples: Sequence[Example]
    config: InferenceConfig
    cache: EncodingCache | None
    heads: Mapping[int, RidgeHead]

    @classmethod
    def of(
        cls, model: Neuralizer, examples: Sequence[Example], config: InferenceConfig, mirror: bool
    ) -> _PlanePredictor:
        if not model.config.one_way:
            return cls(model, examples, config, None, {})
        cache = EncodingCache(model, examples, config)
        return cls(model, examples, config, cache, fit_ridge_heads(model, examples, config, mirror))

    def predict(self, x: torch.Tensor, n: int) -> torch.Tensor:
        """Return the prediction (L, H, W) for slice `n` of x (C, S, H, W)."""
        config, device = self.config, next(self.model.parameters()).device
        out = torch.zeros(self.examples[0].y.shape[0], *x.shape[2:])
        near = torch.stack([e.y[:, i] for i in support_positions(self.examples, n, config) for e in self.examples])
        present = [c for c in range(out.shape[0]) if bool((near[:, c] != 0).any())]
        target = slice_input(x, n, config)[None].to(device)
        for start in range(0, len(present), config.batch_size):
            classes = present[start : start + config.batch_size]
            out[classes] = self._predict_classes(target, n, classes)[:, 0].clamp(0, 1).cpu()
        return out

    def _predict_classes(self, target: torch.Tensor, n: int, classes: Sequence[int]) -> torch.Tensor:
        x = target.expand(len(classes), -1, -1, -1)
        if self.cache is None:
            support = stack_examples(*support_set(self.examples, n, self.config), classes)
            return self.model(x, support.to(x.device))
        encoding = self.cache.support(n, classes)
        if not self.heads:
            return self.model.predict(x, encoding)
        prediction, features = self.model.pixel_features(x, encoding)
        return torch.stack([self.heads[c].predict(prediction[row], features[row]) for row, c in enumerate(classes)])


def fit_ridge_heads(
    model: Neuralizer, examples: Sequence[Example], config: InferenceConfig, mirror: bool
) -> dict[int, RidgeHead]:
    """Return a ridge head for each class that an example shows.

    Each example (slices along the first spatial axis) is predicted from the others. A single image is predicted from
    its mirror image along the next axis, if `mirror`. A single mask may lie on one side, so that nothing can be
    predicted of it: {} is returned, as without `config.ridge_head`.
    """
    if config.ridge_head is None or (len(examples) == 1 and (not mirror or is_mask(examples[0].y))):
        return {}
    heads = {}
    for c in range(examples[0].y.shape[0]):
        present = [n for n in range(examples[0].y.shape[1]) if any(bool((e.y[c, n] != 0).any()) for e in examples)]
        if present:
            sample = _leave_one_out_sample(model, examples, c, present, config, config.ridge_head)
            heads[c] = fit_ridge_head(sample, config.ridge_head)
    return heads


def _leave_one_out_sample(
    model: Neuralizer,
    examples: Sequence[Example],
    c: int,
    present: Sequence[int],
    config: InferenceConfig,
    head: RidgeHeadConfig,
) -> PixelSample:
    """Return pixels of class `c` from slices among `present`, each example predicted from the others."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(head.seed)
    count = min(len(present), max(1, head.slices // len(examples)))
    chosen = [present[(2 * k + 1) * len(present) // (2 * count)] for k in range(count)]
    support = examples if len(examples) > 1 else [Example(e.x.flip(2), e.y.flip(2)) for e in examples]
    rows: list[tuple[torch.Tensor, ...]] = []
    for n in chosen:
        encodings = [_encode(model, *nearby_slices([example], n, config), [c], config) for example in support]
        y = torch.stack([e.y[c, n] for e in examples]).to(device)
        for row, example in enumerate(examples):
            others = [each for m, each in enumerate(encodings) if m != row] or encodings
            x = slice_input(example.x, n, config)[None].to(device)
            prediction, features = model.pixel_features(x, SupportEncoding.pool(others, [1] * len(others)))
            index, weight = sample_pixels(y, head.pixels // (count * len(examples)), head.near, generator)
            rows.append(
                (
                    features[0].flatten(0, 1)[index],
                    prediction[0, 0].flatten()[index],
                    y[row].flatten()[index],
                    weight,
                    torch.full_like(index, row),
                )
            )
    return PixelSample(*(torch.cat(column) for column in zip(*rows)))


def _encode(
    model: Neuralizer, x: torch.Tensor, y: torch.Tensor, classes: Sequence[int], config: InferenceConfig
) -> SupportEncoding:
    """Return the encoding of slices x (N, 3, H, W), y (N, L, H, W), one batch element per class."""
    device = next(model.parameters()).device
    return model.encode(stack_examples(x, y, classes).to(device), max(config.batch_size, len(classes)))


def through_plane_roughness(mask: torch.Tensor, axis: int) -> float:
    """Return the label changes across slices over those within slices; mask (I, J, K) bool, axis: across slices.

    1 for an isotropic shape; inconsistent slices raise it. NaN for an empty mask.
    """
    changes = [float((mask.diff(dim=a) if mask.shape[a] > 1 else mask[:0]).float().sum()) for a in range(3)]
    within = sum(c for a, c in enumerate(changes) if a != axis) / 2
    return changes[axis] / within if within else math.nan
