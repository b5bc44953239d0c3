from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example
from SlicerSynthReg.tasks.context_samples import case_doubt, with_background


def example(*boxes: tuple[int, int]) -> Example:
    """One class a box: from the first to the second index along the last axis."""
    y = torch.zeros(len(boxes), 4, 8, 8)
    for place, (low, high) in enumerate(boxes):
        y[place, ..., low:high] = 1
    return Example(torch.zeros(1, 4, 8, 8), y)


def asked(network, examples):
    config = AskConfig(size=1, move_degrees=0.0, move_pixels=0.0)
    with torch.inference_mode():
        return case_doubt(network, torch.zeros(1, 4, 8, 8), examples, config, share=0.0, count=6)


def test_examples_that_agree_leave_no_doubt(an_averaging_network):
    found = asked(an_averaging_network, [example((1, 4), (5, 8))] * 4)
    assert (found.total, found.epistemic, found.diversity) == pytest.approx((0, 0, 0), abs=0.02)


def test_halves_that_disagree_are_epistemic_doubt(an_averaging_network):
    found = asked(an_averaging_network, [example((0, 4)), example((4, 8))])
    assert 0.9 * found.total < found.epistemic <= found.total, "each half is sure of what it says"
    assert found.total > 0.6 * 4 * 8 * 8, "and half of them say the opposite, everywhere"
    assert 0.3 < found.diversity < 0.7


def test_what_one_example_alone_tells_of_is_told_in_every_half(an_averaging_network):
    whole = example((1, 4), (5, 8))
    begun = dataclasses.replace(example((1, 4), (0, 0)), untold=frozenset({1}))
    found = asked(an_averaging_network, [whole, begun, begun, begun])
    assert (found.total, found.epistemic, found.diversity) == pytest.approx((0, 0, 0), abs=0.02)


def test_what_all_halves_are_unsure_of_is_not_epistemic(an_averaging_network):
    both = [example((0, 4)), example((4, 8))]
    unsure = Example(both[0].x, (both[0].y + both[1].y) / 2)
    found = asked(an_averaging_network, [unsure] * 4)
    assert found.total == pytest.approx(4 * 8 * 8, rel=0.02) and found.epistemic < 0.02 * found.total


def test_classes_that_claim_too_much_share_what_there_is():
    p = with_background(torch.tensor([[0.2, 0.9, 0.0], [0.3, 0.9, 0.0]]))
    assert torch.allclose(p.sum(0), torch.ones(3))
    assert torch.allclose(p, torch.tensor([[0.5, 0.0, 1.0], [0.2, 0.5, 0.0], [0.3, 0.5, 0.0]]))
