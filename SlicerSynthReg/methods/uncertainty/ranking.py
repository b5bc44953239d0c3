"""Which case to annotate next (thesis paper 4, section 4.5). Imports no torch: panels rank too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FINDING = (
    "Picking the cases with the largest total entropy did not beat picking at random, for any of four models on two "
    "data sets (Czolbe et al., IPMI 2021): it prefers cases that annotators disagree about, which teach little. The "
    "epistemic part and the diversity of the samples are offered beside it; measure on your data before relying on any."
)
"""To be shown wherever a ranking is offered."""
RULES = ("total", "epistemic", "diversity", "random")


@dataclass(frozen=True)
class CaseDoubt:
    """Of one case: entropies summed over its voxels, in bits, and the mean distance of two sampled masks."""

    total: float
    epistemic: float
    diversity: float


def ranked(cases: Mapping[str, CaseDoubt], rule: str, seed: int = 0) -> list[str]:
    """Names, the one to annotate first leading; ties by name. rule: one of RULES."""
    if rule not in RULES:
        raise ValueError(f"Found the rule {rule!r}, expected one of {', '.join(RULES)}.")
    names = sorted(cases)
    if rule == "random":
        return [names[n] for n in np.random.default_rng(seed).permutation(len(names))]
    return sorted(names, key=lambda name: -float(getattr(cases[name], rule)))
