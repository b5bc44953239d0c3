from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.in_context.bootstrap import add_background, bootstrap_uncertainty
from SlicerSynthReg.in_context.predictor import Predictor
from SlicerSynthReg.in_context.slices import Example, InferenceConfig


def example(*boxes: tuple[int, int]) -> Example:
    """One class a box: from the first to the second index along the last axis."""
    y = torch.zeros(len(boxes), 4, 8, 8)
    for place, (low, high) in enumerate(boxes):
        y[place, ..., low:high] = 1
    return Example(torch.zeros(1, 4, 8, 8), y)


def uncertainty_of(network, examples):
    config = InferenceConfig(support_size=1, jitter_degrees=0.0, jitter_pixels=0.0)
    with torch.inference_mode():
        predictor = Predictor(network, config, patch_share=0.0, labels=True)
        return bootstrap_uncertainty(predictor, torch.zeros(1, 4, 8, 8), examples, count=6)


def test_agreeing_examples_give_no_uncertainty(an_averaging_network):
    uncertainty = uncertainty_of(an_averaging_network, [example((1, 4), (5, 8))] * 4)
    assert (uncertainty.total, uncertainty.epistemic, uncertainty.diversity) == pytest.approx((0, 0, 0), abs=0.02)


def test_disagreeing_halves_are_epistemic_uncertainty(an_averaging_network):
    uncertainty = uncertainty_of(an_averaging_network, [example((0, 4)), example((4, 8))])
    assert 0.9 * uncertainty.total < uncertainty.epistemic <= uncertainty.total, "each half is certain"
    assert uncertainty.total > 0.6 * 4 * 8 * 8, "and the halves contradict each other everywhere"
    assert 0.3 < uncertainty.diversity < 0.7


def test_the_only_annotation_of_a_class_is_part_of_every_half(an_averaging_network):
    whole = example((1, 4), (5, 8))
    partial = dataclasses.replace(example((1, 4), (0, 0)), unannotated=frozenset({1}))
    uncertainty = uncertainty_of(an_averaging_network, [whole, partial, partial, partial])
    assert (uncertainty.total, uncertainty.epistemic, uncertainty.diversity) == pytest.approx((0, 0, 0), abs=0.02)


def test_uncertainty_shared_by_all_halves_is_not_epistemic(an_averaging_network):
    both = [example((0, 4)), example((4, 8))]
    undecided = Example(both[0].x, (both[0].y + both[1].y) / 2)
    uncertainty = uncertainty_of(an_averaging_network, [undecided] * 4)
    assert uncertainty.total == pytest.approx(4 * 8 * 8, rel=0.02) and uncertainty.epistemic < 0.02 * uncertainty.total


def test_class_probabilities_above_one_are_normalised():
    p = add_background(torch.tensor([[0.2, 0.9, 0.0], [0.3, 0.9, 0.0]]))
    assert torch.allclose(p.sum(0), torch.ones(3))
    assert torch.allclose(p, torch.tensor([[0.5, 0.0, 1.0], [0.2, 0.5, 0.0], [0.3, 0.5, 0.0]]))
