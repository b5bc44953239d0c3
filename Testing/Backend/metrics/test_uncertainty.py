from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.metrics.case_ranking import FINDING, CaseUncertainty, rank_cases
from SlicerSynthReg.metrics.uncertainty import (
    calibration,
    decompose_entropy,
    energy_distance_curve,
    entropy,
    error_correlation,
    generalised_energy_distance,
    iou_distance,
    sample_diversity,
)
from SlicerSynthReg.synthesis.annotators import AnnotationDraw, AnnotatorConfig, annotate, draw_annotations


def a_mask(*voxels: int) -> torch.Tensor:
    mask = torch.zeros(8, dtype=torch.long)
    mask[list(voxels)] = 1
    return mask


def test_entropy_is_one_bit_at_one_half():
    p = torch.tensor([[0.5, 1.0, 0.25], [0.5, 0.0, 0.75]])
    assert entropy(p).tolist() == pytest.approx([1.0, 0.0, 0.8112781], abs=1e-5)


def test_disagreeing_samples_are_epistemic_and_undecided_ones_are_not():
    disagreeing = torch.tensor([[[1.0], [0.0]], [[0.0], [1.0]]])
    varied = torch.full((2, 2, 1), 0.5)
    for samples, epistemic in ((disagreeing, 1.0), (varied, 0.0)):
        found = decompose_entropy(samples)
        assert float(found.total) == pytest.approx(1.0, abs=1e-5)
        assert float(found.epistemic) == pytest.approx(epistemic, abs=1e-5)
        assert float(found.expected) == pytest.approx(1 - epistemic, abs=1e-5)


def test_distance_is_one_less_iou():
    assert iou_distance(a_mask(0, 1, 2), a_mask(1, 2, 3)) == pytest.approx(1 - 2 / 4)
    assert iou_distance(a_mask(), a_mask()) == 0 and iou_distance(a_mask(), a_mask(1)) == 1


def test_energy_distance_by_hand():
    annotations, masks = [a_mask(0), a_mask(1)], [a_mask(0)]
    assert generalised_energy_distance(annotations, masks) == pytest.approx(2 * 0.5 - 0.5 - 0)
    assert generalised_energy_distance(annotations, annotations) == pytest.approx(0)
    assert sample_diversity(annotations) == pytest.approx(0.5)


def test_a_model_of_both_annotators_improves_with_samples():
    annotations = torch.stack([a_mask(0, 1), a_mask(1, 2)])
    certain = energy_distance_curve(annotations, annotations[:1])
    both = energy_distance_curve(annotations, annotations)
    assert certain == pytest.approx([1 / 3] * 5) and both == pytest.approx([1 / 3, 0, 0, 0, 0])


def test_calibration_compares_confidence_with_accuracy():
    p = torch.tensor([[0.05, 0.45, 0.15, 0.15], [0.95, 0.55, 0.85, 0.85]])
    found = calibration(p, torch.tensor([1, 0, 1, 0]))
    assert found.confidence == pytest.approx((0.55, 0.85, 0.95)) and found.accuracy == pytest.approx((0, 0.5, 1))
    assert found.share == pytest.approx((0.25, 0.5, 0.25))
    assert found.error == pytest.approx(0.25 * 0.55 + 0.5 * 0.35 + 0.25 * 0.05)


def test_uncertainty_at_errors_correlates_with_error():
    truth, found = a_mask(0, 1, 2), a_mask(1, 2, 3)
    wrong = (truth != found).float()
    assert error_correlation(wrong, found, truth) == pytest.approx(1)
    assert error_correlation(1 - wrong, found, truth) == pytest.approx(-1)
    assert math.isnan(error_correlation(wrong, truth, truth))


def test_cases_are_ranked_by_each_rule():
    cases = {"a": CaseUncertainty(9, 1, 0.2), "b": CaseUncertainty(5, 4, 0.1), "c": CaseUncertainty(1, 2, 0.9)}
    assert [rank_cases(cases, rule)[0] for rule in ("total", "epistemic", "diversity")] == ["a", "b", "c"]
    assert sorted(rank_cases(cases, "random", 1)) == ["a", "b", "c"]
    assert len({tuple(rank_cases(cases, "random", n)) for n in range(20)}) > 2
    assert "did not beat random selection" in FINDING
    with pytest.raises(ValueError, match="Found the rule 'best'"):
        rank_cases(cases, "best")


def test_biased_annotators_shift_the_outline():
    i, j, k = torch.meshgrid(*[torch.arange(24) - 11.5] * 3, indexing="ij")
    ball = i**2 + j**2 + k**2 < 49
    steady = (0.0, 8, 1)
    annotations = annotate(ball, (AnnotationDraw(0.0, steady, False), AnnotationDraw(2.0, steady, False)))
    assert torch.equal(annotations[0], ball)
    radius = (3 * float(annotations[1].sum()) / (4 * math.pi)) ** (1 / 3)
    assert 8.5 < radius < 9.5
    assert not bool(annotate(ball, (AnnotationDraw(0.0, steady, True),)).any())
    varied = annotate(ball, (AnnotationDraw(0.0, (1.0, 8, 1), False),))[0]
    assert 20 < int((varied != ball).sum()) < int(ball.sum())


def test_an_annotator_has_the_same_bias_in_all_cases():
    one, two = (draw_annotations(AnnotatorConfig(), 7, case, 4) for case in (1, 2))
    assert [a.bias for a in one] == [a.bias for a in two] and one != two
