"""Sensitivity of readers in signal detection, separated from response bias: d-prime."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

PAIRED, SINGLE = "paired", "single"


@dataclass(frozen=True)
class Sensitivity:
    """d_prime: 0 for chance. lower, upper: its confidence interval. bias: criterion c, positive for a preference of "no
    signal" (in pairs, of the second side). hit_rate, false_alarm_rate: corrected."""

    d_prime: float
    lower: float
    upper: float
    bias: float
    hit_rate: float
    false_alarm_rate: float


def d_prime(
    hits: int, signals: int, false_alarms: int, noises: int, design: str = SINGLE, level: float = 0.95
) -> Sensitivity:
    """Return d-prime, z(H) - z(F), divided by sqrt(2) for pairs (Macmillan and Creelman 2005, ch. 1 and 7).

    In pairs, the signal is "the generated image is on the left", and a hit the answer left. Rates have the log-linear
    correction of Hautus (1995), H = (hits + 1/2) / (signals + 1), likewise F, so that perfect answers stay finite.
    Interval: normal, variance of Gourevitch and Galanter (1967) at the corrected rates.
    Raises ValueError unless there are signals and noises, and at most as many hits and false alarms.
    """
    sound = 0 <= hits <= signals and 0 <= false_alarms <= noises and signals and noises
    if not sound or design not in (PAIRED, SINGLE):
        raise ValueError(
            f"Found {hits} hits of {signals} and {false_alarms} false alarms of {noises}, design {design!r}, expected "
            "at least one of each, and paired or single."
        )
    hit, alarm = (hits + 0.5) / (signals + 1), (false_alarms + 0.5) / (noises + 1)
    z_hit, z_alarm = float(norm.ppf(hit)), float(norm.ppf(alarm))
    scale = math.sqrt(2) if design == PAIRED else 1.0
    of_hits = hit * (1 - hit) / (signals * norm.pdf(z_hit) ** 2)
    of_alarms = alarm * (1 - alarm) / (noises * norm.pdf(z_alarm) ** 2)
    half = float(norm.ppf((1 + level) / 2) * math.sqrt(of_hits + of_alarms)) / scale
    value = (z_hit - z_alarm) / scale
    return Sensitivity(value, value - half, value + half, -(z_hit + z_alarm) / 2, hit, alarm)
