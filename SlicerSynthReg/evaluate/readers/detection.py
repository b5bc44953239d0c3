"""How well readers tell signal from noise, apart from which answer they prefer: d-prime and the ROC curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

PAIRED, SINGLE = "paired", "single"


@dataclass(frozen=True)
class Sensitivity:
    """d_prime: 0 for chance. lower, upper: its interval. bias: criterion c, positive for a preference of "no signal"
    (of the second side, in pairs). hit_rate, false_alarm_rate: with the correction applied."""

    d_prime: float
    lower: float
    upper: float
    bias: float
    hit_rate: float
    false_alarm_rate: float


def d_prime(
    hits: int, signals: int, false_alarms: int, noises: int, design: str = SINGLE, level: float = 0.95
) -> Sensitivity:
    """z(H) - z(F) of single showings, divided by sqrt(2) for pairs (Macmillan and Creelman 2005, ch. 1 and 7).

    In pairs, signal is "the generated one is on the left" and a hit the answer left. Rates carry the log-linear
    correction of Hautus (1995), always: H = (hits + 1/2) / (signals + 1), likewise F, so that perfect answers stay
    finite. Interval: normal, variance by Gourevitch and Galanter (1967) at the corrected rates.
    ValueError unless there are signals and noises, and no more hits than them.
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


@dataclass(frozen=True)
class Roc:
    """auc: chance that a signal is graded above a noise, ties counting half. lower, upper: its interval.
    standard_error: DeLong's. false_alarm_rates, hit_rates: the curve, from (0, 0) to (1, 1)."""

    auc: float
    lower: float
    upper: float
    standard_error: float
    signals: int
    noises: int
    false_alarm_rates: tuple[float, ...]
    hit_rates: tuple[float, ...]


def roc(grades: Sequence[float], is_signal: Sequence[bool], level: float = 0.95) -> Roc:
    """Empirical ROC of graded answers, the higher the surer of signal.

    Area by the Mann-Whitney statistic, variance by DeLong (1988), interval on the logit scale (Pepe 2003; the choice
    of Pohar Perme and Manevski 2018). Where the grades part signals and noises perfectly that variance is 0; the bound
    is then where Hanley and McNeil's (1982) variance at the bound itself makes it just plausible.
    ValueError unless there are two of each at least.
    """
    values, signal = np.asarray(grades, dtype=float), np.asarray(is_signal, dtype=bool)
    signals, noises = int(signal.sum()), int((~signal).sum())
    if len(values) != len(signal) or min(signals, noises) < 2 or not np.isfinite(values).all():
        raise ValueError(f"Found {signals} signals and {noises} noises, expected finite grades of two or more of each.")
    ranks = rankdata(values)
    placed_signals = (ranks[signal] - rankdata(values[signal])) / noises
    placed_noises = 1 - (ranks[~signal] - rankdata(values[~signal])) / signals
    area = float(placed_signals.mean())
    error = math.sqrt(placed_signals.var(ddof=1) / signals + placed_noises.var(ddof=1) / noises)
    z = float(norm.ppf((1 + level) / 2))
    if 0 < area < 1 and error > 0:
        half = z * error / (area * (1 - area))
        lower, upper = float(expit(logit(area) - half)), float(expit(logit(area) + half))
    else:
        bound = _plausible_below_one(signals, noises, z)
        lower, upper = (bound, 1.0) if area == 1 else (0.0, 1 - bound) if area == 0 else (0.0, 1.0)
    cuts = np.unique(values)[::-1]
    alarms = (0.0, *(float((values[~signal] >= cut).mean()) for cut in cuts))
    hits = (0.0, *(float((values[signal] >= cut).mean()) for cut in cuts))
    return Roc(area, lower, upper, error, signals, noises, alarms, hits)


def _plausible_below_one(signals: int, noises: int, z: float) -> float:
    """The area a with 1 - a = z sqrt(V(a)), V of Hanley and McNeil (1982)."""

    def excess(area: float) -> float:
        q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
        spread = area * (1 - area) + (signals - 1) * (q1 - area**2) + (noises - 1) * (q2 - area**2)
        return 1 - area - z * math.sqrt(spread / (signals * noises))

    return float(brentq(excess, 1e-9, 1 - 1e-9))
