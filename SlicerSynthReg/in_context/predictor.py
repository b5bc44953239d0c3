"""Prediction from a support set: by the network, by patch propagation, or by a mixture of both.

How much each is worth depends on the task: the network restores images and knows heads, patches follow any anatomy that
the examples show. The mixture weight is chosen by leave-one-out prediction of the examples in two slices (`predictor`
auto).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.in_context.inference import predict_volume
from SlicerSynthReg.in_context.neuralizer import Neuralizer
from SlicerSynthReg.in_context.patches import Box, PatchConfig, propagate
from SlicerSynthReg.in_context.slices import Example, InferenceConfig, group_by_annotation
from SlicerSynthReg.progress import Progress, no_progress, sub_progress

PATCH_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of patch propagation that leave-one-out prediction compares."""
SINGLE_EXAMPLE_SHARE = 0.75
"""Weight of patch propagation for a single example, which leaves no other to predict it from."""
FIXED_SHARES = {"network": 0.0, "patches": 1.0}


@dataclass(frozen=True, eq=False)
class Predictor:
    """patch_share: weight of patch propagation, the rest is the network's. labels: whether outputs are masks, so that
    patches are propagated within the box of the masks only."""

    model: Neuralizer
    config: InferenceConfig
    patch_share: float
    labels: bool

    def predict(self, x: torch.Tensor, examples: Sequence[Example], progress: Progress = no_progress) -> torch.Tensor:
        """Return the prediction (L, I, J, K) in [0, 1] for x (C, I, J, K); examples on the same grid."""
        share = self.patch_share
        total = torch.zeros(examples[0].y.shape[0], *x.shape[1:])
        if share < 1:
            network = sub_progress(progress, 0, 1 - share)
            total = (1 - share) * predict_volume(self.model, x, examples, self.config, network)
        groups = group_by_annotation(examples) if share > 0 else []
        for n, (classes, annotated) in enumerate(groups):
            box = mask_box(annotated, PatchConfig().search) if self.labels else whole_box(x)
            start, stop = (1 - share + share * m / len(groups) for m in (n, n + 1))
            part = sub_progress(progress, start, stop)
            patches = propagate(x, [(e.x, e.y) for e in annotated], PatchConfig(), box, part)
            total[(classes, *box_slices(box))] += share * patches
        return total


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """patch_share: weight of patch propagation with the best scores. agreement: per example Dice of its leave-one-out
    prediction in two slices; empty for images and for fewer than two examples."""

    patch_share: float
    agreement: tuple[float, ...] = ()


def leave_one_out(
    model: Neuralizer,
    examples: Sequence[Example],
    config: InferenceConfig,
    predictor: str,
    labels: bool,
    max_examples: int,
) -> LeaveOneOut:
    """Predict up to `max_examples` examples, each from the others, and return the best patch share.

    predictor: "auto", or a key of FIXED_SHARES, for which only the agreement is measured.
    """
    shares = PATCH_SHARES if predictor == "auto" else (FIXED_SHARES[predictor],)
    if len(examples) < 2 or (predictor != "auto" and not labels):
        return LeaveOneOut(FIXED_SHARES.get(predictor, SINGLE_EXAMPLE_SHARE))
    scores = []
    for n, example in enumerate(examples[:max_examples]):
        others = [e for m, e in enumerate(examples) if m != n]
        network, patches, truth = _predict_left_out(model, example, others, config, labels, shares)
        scores.append([_score(s * patches + (1 - s) * network, truth, labels) for s in shares])
    table = torch.tensor(scores)
    best = int(table.mean(0).argmax())
    return LeaveOneOut(shares[best], tuple(table[:, best].tolist()) if labels else ())


def _predict_left_out(
    model: Neuralizer,
    example: Example,
    others: Sequence[Example],
    config: InferenceConfig,
    labels: bool,
    shares: Sequence[float],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return predictions by network and patches and the truth, (L, N) each, in two slices; zeros for a predictor
    without share."""
    axis = config.planes[0]
    examples = (example, *others)
    fast = dataclasses.replace(config, planes=(axis,), support_slices=0, support_size=min(4, config.support_size))
    classes = [c for c in range(example.y.shape[0]) if c not in example.unannotated]
    by_network, by_patches, truths = [], [], []
    for index in _middle_slices(examples, axis, labels):
        whole = mask_box(examples, PatchConfig().search) if labels else whole_box(example.x)
        box = _slice_box(whole, axis, index)
        truths.append(example.y[(classes, *box_slices(box))].flatten(1))
        if min(shares) < 1:
            cut = [_single_slice(e, axis, index) for e in examples]
            flat = [slice(None) if a == axis else part for a, part in enumerate(box_slices(box))]
            by_network.append(predict_volume(model, cut[0].x, cut[1:], fast)[(classes, *flat)].flatten(1))
        if max(shares) > 0:
            by_patches.append(_propagate_classes(example.x, others, box)[classes].flatten(1))
    truth = torch.cat(truths, 1)
    network = torch.cat(by_network, 1) if by_network else torch.zeros_like(truth)
    patches = torch.cat(by_patches, 1) if by_patches else torch.zeros_like(truth)
    return network, patches, truth


def _propagate_classes(x: torch.Tensor, examples: Sequence[Example], box: Box) -> torch.Tensor:
    """Return (L, *box) by patch propagation, each class from the examples that annotate it."""
    total = torch.zeros(examples[0].y.shape[0], *(high - low for low, high in box))
    for classes, annotated in group_by_annotation(examples):
        total[classes] = propagate(x, [(e.x, e.y) for e in annotated], PatchConfig(), box)
    return total


def _score(prediction: torch.Tensor, truth: torch.Tensor, labels: bool) -> float:
    """Return the mean Dice over the classes present in `truth` (L, N), or the negative mean squared error."""
    if not labels:
        return -float(((prediction - truth) ** 2).mean())
    best, which = prediction.max(0)
    mask = torch.zeros_like(truth).scatter_(0, which[None], (best > 0.5).float()[None])
    intersection, sizes = (mask * truth).sum(1), mask.sum(1) + truth.sum(1)
    present = truth.sum(1) > 0
    if not bool(present.any()):
        return float(not mask.any())
    return float((2 * intersection / sizes.clamp_min(1))[present].mean())


def mask_box(examples: Sequence[Example], margin: int) -> Box:
    """Return the bounding box of all masks, `margin` voxels wider; the whole grid for empty masks."""
    mask = torch.stack([e.y.amax(0) for e in examples]).amax(0) != 0
    if not bool(mask.any()):
        return whole_box(examples[0].x)
    voxels = mask.nonzero()
    low, high = (voxels.min(0).values - margin).clamp_min(0), voxels.max(0).values + 1 + margin
    i, j, k = ((a, min(b, n)) for a, b, n in zip(low.tolist(), high.tolist(), mask.shape))
    return i, j, k


def whole_box(x: torch.Tensor) -> Box:
    """Return the box of all voxels of x (C, I, J, K)."""
    i, j, k = x.shape[1:]
    return (0, i), (0, j), (0, k)


def box_slices(box: Box) -> tuple[slice, slice, slice]:
    """Return the index of the voxels of a box."""
    i, j, k = (slice(low, high) for low, high in box)
    return i, j, k


def _single_slice(example: Example, axis: int, index: int) -> Example:
    """Return one slice of an example as a volume of one slice."""
    x, y = (values.narrow(1 + axis, index, 1) for values in (example.x, example.y))
    return dataclasses.replace(example, x=x, y=y)


def _slice_box(box: Box, axis: int, index: int) -> Box:
    i, j, k = ((index, index + 1) if a == axis else extent for a, extent in enumerate(box))
    return i, j, k


def _middle_slices(examples: Sequence[Example], axis: int, labels: bool) -> list[int]:
    """Return the slices at one and two thirds of the labelled extent, or of the whole for images."""
    if not labels:
        size = examples[0].x.shape[1 + axis]
        return sorted({size // 3, (2 * size) // 3})
    extent = torch.stack([e.y.amax(0) for e in examples]).amax(0).amax([a for a in range(3) if a != axis])
    present = extent.nonzero()[:, 0].tolist()
    return sorted({present[len(present) // 3], present[(2 * len(present)) // 3]}) if present else []
