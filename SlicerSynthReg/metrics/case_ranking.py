"""Ranking of cases for annotation, active learning (thesis paper 4, section 4.5). Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FINDING = (
    "Selecting the cases with the largest total entropy did not beat random selection, for any of four models on two "
    "data sets (Czolbe et al., IPMI 2021): it prefers ambiguous cases, on which annotators disagree. The epistemic "
    "part and the diversity of the samples are alternatives; validate on your data before relying on any."
)
"""Shown with every ranking."""
RULES = ("total", "epistemic", "diversity", "random")


@dataclass(frozen=True)
class CaseUncertainty:
    """Uncertainty of one case. total, epistemic: entropies summed over voxels, in bits. diversity: mean distance of two
    sampled masks, 0 to 1."""

    total: float
    epistemic: float
    diversity: float


def rank_cases(cases: Mapping[str, CaseUncertainty], rule: str, seed: int = 0) -> list[str]:
    """Return the names, most uncertain first, ties by name. rule: one of RULES. Raises ValueError."""
    if rule not in RULES:
        raise ValueError(f"Found the rule {rule!r}, expected one of {', '.join(RULES)}. Choose one of them.")
    names = sorted(cases)
    if rule == "random":
        return [names[n] for n in np.random.default_rng(seed).permutation(len(names))]
    return sorted(names, key=lambda name: -float(getattr(cases[name], rule)))
