from __future__ import annotations

import math

import numpy as np
import pytest

from SlicerSynthReg.metrics.roc import auc, mean_auc


def test_auc_by_hand_with_ties_and_a_mask():
    score = np.array([0.1, 0.4, 0.4, 0.8, 9.0])
    changed = np.array([False, False, True, True, False])
    within = np.array([True, True, True, True, False])
    assert auc(score, changed, within) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert auc(score, changed) < auc(score, changed, within)
    assert math.isnan(auc(score, np.zeros(5, dtype=bool)))


def test_auc_over_cases_excludes_cases_without_a_lesion():
    found = mean_auc([0.8, float("nan"), 0.8])
    assert (found.mean, found.lower, found.upper, found.cases) == (0.8, 0.8, 0.8, 2)
    spread = mean_auc([0.6, 0.7, 0.9, 1.0])
    assert 0.6 <= spread.lower < spread.mean < spread.upper <= 1.0
