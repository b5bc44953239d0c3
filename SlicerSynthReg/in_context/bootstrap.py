"""Bootstrap uncertainty of a case: repeated predictions from random halves of the examples.

Each prediction is a sample of p(y | x), as the members of an ensemble are (thesis paper 4); the disagreement between
samples is the epistemic uncertainty. Memory grows with the number of samples by their masks only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from SlicerSynthReg.in_context.predictor import Predictor
from SlicerSynthReg.in_context.slices import Example
from SlicerSynthReg.metrics.case_ranking import CaseUncertainty
from SlicerSynthReg.metrics.uncertainty import argmax_masks, entropy, sample_diversity
from SlicerSynthReg.progress import Progress, no_progress, sub_progress


def bootstrap_uncertainty(
    predictor: Predictor,
    x: torch.Tensor,
    examples: Sequence[Example],
    count: int,
    progress: Progress = no_progress,
) -> CaseUncertainty:
    """Return the uncertainty of a target x (C, I, J, K) from `count` >= 2 halves of the examples; masks only."""
    mean, expected = torch.zeros(()), torch.zeros(())
    masks = []
    for n in range(count):
        half = draw_half(examples, torch.Generator().manual_seed(n))
        config = dataclasses.replace(predictor.config, seed=predictor.config.seed + 1 + n)
        part = sub_progress(progress, n / count, (n + 1) / count)
        p = add_background(dataclasses.replace(predictor, config=config).predict(x, half, part))
        mean = mean + p / count
        expected = expected + entropy(p) / count
        masks.append(argmax_masks(p[None])[0].to(torch.uint8))
    total = entropy(mean)
    return CaseUncertainty(float(total.sum()), float((total - expected).clamp_min(0).sum()), sample_diversity(masks))


def draw_half(examples: Sequence[Example], generator: torch.Generator) -> list[Example]:
    """Return a random half of the examples, plus one for each class that the half does not annotate."""
    order = [examples[n] for n in torch.randperm(len(examples), generator=generator).tolist()]
    half = order[: max(1, len(order) // 2)]
    for c in range(order[0].y.shape[0]):
        annotated = [e for e in order if c not in e.unannotated]
        if not any(e in annotated for e in half):
            half += annotated[:1]
    return half


def add_background(p: torch.Tensor) -> torch.Tensor:
    """Return probabilities (1 + L, ...), background first, from independent class probabilities p (L, ...).

    The background takes the remainder to 1; classes whose sum exceeds 1 are normalised.
    """
    total = p.sum(0, keepdim=True)
    return torch.cat([(1 - total).clamp_min(0), p / total.clamp_min(1)])
