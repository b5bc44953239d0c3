from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.evaluate.uncertainty import (
    calibration,
    distance,
    diversity,
    doubt,
    energy_curve,
    energy_distance,
    entropy,
    error_correlation,
)
from SlicerSynthReg.methods.uncertainty.ranking import FINDING, CaseDoubt, ranked
from SlicerSynthReg.synth.annotators import AnnotationDraw, AnnotatorConfig, annotate, draw_annotations


def a_mask(*voxels: int) -> torch.Tensor:
    mask = torch.zeros(8, dtype=torch.long)
    mask[list(voxels)] = 1
    return mask


def test_entropy_is_one_bit_at_one_half():
    p = torch.tensor([[0.5, 1.0, 0.25], [0.5, 0.0, 0.75]])
    assert entropy(p).tolist() == pytest.approx([1.0, 0.0, 0.8112781], abs=1e-5)


def test_samples_that_disagree_are_epistemic_and_one_that_wavers_is_not():
    disagreeing = torch.tensor([[[1.0], [0.0]], [[0.0], [1.0]]])
    wavering = torch.full((2, 2, 1), 0.5)
    for samples, epistemic in ((disagreeing, 1.0), (wavering, 0.0)):
        found = doubt(samples)
        assert float(found.total) == pytest.approx(1.0, abs=1e-5)
        assert float(found.epistemic) == pytest.approx(epistemic, abs=1e-5)
        assert float(found.expected) == pytest.approx(1 - epistemic, abs=1e-5)


def test_distance_is_one_less_iou():
    assert distance(a_mask(0, 1, 2), a_mask(1, 2, 3)) == pytest.approx(1 - 2 / 4)
    assert distance(a_mask(), a_mask()) == 0 and distance(a_mask(), a_mask(1)) == 1


def test_energy_distance_by_hand():
    annotations, masks = [a_mask(0), a_mask(1)], [a_mask(0)]
    assert energy_distance(annotations, masks) == pytest.approx(2 * 0.5 - 0.5 - 0)
    assert energy_distance(annotations, annotations) == pytest.approx(0)
    assert diversity(annotations) == pytest.approx(0.5)


def test_a_model_that_knows_both_annotators_gets_nearer_with_every_sample():
    annotations = torch.stack([a_mask(0, 1), a_mask(1, 2)])
    certain = energy_curve(annotations, annotations[:1])
    both = energy_curve(annotations, annotations)
    assert certain == pytest.approx([1 / 3] * 5) and both == pytest.approx([1 / 3, 0, 0, 0, 0])


def test_calibration_counts_how_often_confidence_was_right():
    p = torch.tensor([[0.05, 0.45, 0.15, 0.15], [0.95, 0.55, 0.85, 0.85]])
    found = calibration(p, torch.tensor([1, 0, 1, 0]))
    assert found.confidence == pytest.approx((0.55, 0.85, 0.95)) and found.right == pytest.approx((0, 0.5, 1))
    assert found.share == pytest.approx((0.25, 0.5, 0.25))
    assert found.error == pytest.approx(0.25 * 0.55 + 0.5 * 0.35 + 0.25 * 0.05)


def test_doubt_where_the_answer_is_wrong_correlates_with_error():
    truth, found = a_mask(0, 1, 2), a_mask(1, 2, 3)
    wrong = (truth != found).float()
    assert error_correlation(wrong, found, truth) == pytest.approx(1)
    assert error_correlation(1 - wrong, found, truth) == pytest.approx(-1)
    assert math.isnan(error_correlation(wrong, truth, truth))


def test_cases_are_ranked_by_each_rule():
    cases = {"a": CaseDoubt(9, 1, 0.2), "b": CaseDoubt(5, 4, 0.1), "c": CaseDoubt(1, 2, 0.9)}
    assert [ranked(cases, rule)[0] for rule in ("total", "epistemic", "diversity")] == ["a", "b", "c"]
    assert sorted(ranked(cases, "random", 1)) == ["a", "b", "c"]
    assert len({tuple(ranked(cases, "random", n)) for n in range(20)}) > 2
    assert "did not beat picking at random" in FINDING
    with pytest.raises(ValueError, match="Found the rule 'best'"):
        ranked(cases, "best")


def test_generous_annotators_draw_further_out():
    i, j, k = torch.meshgrid(*[torch.arange(24) - 11.5] * 3, indexing="ij")
    ball = i**2 + j**2 + k**2 < 49
    steady = (0.0, 8, 1)
    drawn = annotate(ball, (AnnotationDraw(0.0, steady, False), AnnotationDraw(2.0, steady, False)))
    assert torch.equal(drawn[0], ball)
    radius = (3 * float(drawn[1].sum()) / (4 * math.pi)) ** (1 / 3)
    assert 8.5 < radius < 9.5
    assert not bool(annotate(ball, (AnnotationDraw(0.0, steady, True),)).any())
    wavering = annotate(ball, (AnnotationDraw(0.0, (1.0, 8, 1), False),))[0]
    assert 20 < int((wavering != ball).sum()) < int(ball.sum())


def test_an_annotator_keeps_a_habit_from_case_to_case():
    one, two = (draw_annotations(AnnotatorConfig(), 7, case, 4) for case in (1, 2))
    assert [a.outward for a in one] == [a.outward for a in two] and one != two
