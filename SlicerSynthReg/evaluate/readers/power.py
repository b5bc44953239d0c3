"""How many cases a reading needs, by exact binomial probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom

MOST = 8_192


@dataclass(frozen=True)
class SampleSize:
    """count: the smallest number of cases from which on the goal is kept for every larger number too (exact power goes
    up and down in teeth, so a smaller number may reach it by luck). reached: what `count` gives."""

    count: int
    reached: float


def power_against_chance(count: int, accuracy: float, chance: float = 0.5, alpha: float = 0.05) -> float:
    """Probability that the exact two-sided binomial test of `proportion` rejects chance, at a true `accuracy`."""
    outcomes = np.arange(count + 1)
    return float(binom.pmf(outcomes, count, accuracy)[p_values(count, chance) <= alpha].sum())


def p_values(count: int, chance: float) -> np.ndarray:
    """(count + 1,) exact two-sided p-value of each number of successes: all outcomes that are no likelier."""
    mass = binom.pmf(np.arange(count + 1), count, chance)
    order = np.sort(mass)
    below = np.searchsorted(order, mass * (1 + 1e-7), side="right")
    return np.minimum(1.0, np.concatenate([[0.0], np.cumsum(order)])[below])


def cases_for_power(accuracy: float, power: float = 0.8, chance: float = 0.5, alpha: float = 0.05) -> SampleSize:
    """Cases for which a reader of true `accuracy` is told from chance with probability `power`.

    ValueError for an accuracy equal to chance, or one so near that MOST cases do not do.
    """
    _check(accuracy=accuracy, power=power, chance=chance, alpha=alpha)
    return _smallest(lambda n: power_against_chance(n, accuracy, chance, alpha), power, f"an accuracy of {accuracy}")


def expected_width(count: int, accuracy: float, level: float = 0.95) -> float:
    """Mean width of the Clopper-Pearson interval over all outcomes at a true `accuracy`."""
    outcomes = np.arange(count + 1)
    return float(binom.pmf(outcomes, count, accuracy) @ (_upper(count, level) - _lower(count, level)))


def cases_for_width(accuracy: float, width: float, level: float = 0.95) -> SampleSize:
    """Cases for which the exact interval is expected to be no wider than `width` (0.2 is plus and minus 0.1)."""
    _check(accuracy=accuracy, width=width, level=level)
    found = _smallest(lambda n: -expected_width(n, accuracy, level), -width, f"a width of {width}")
    return SampleSize(found.count, -found.reached)


def power_to_rule_out(count: int, limit: float, accuracy: float = 0.5, alpha: float = 0.05) -> float:
    """Probability that the one-sided upper bound (1 - alpha) lies below `limit`: that readers can be said not to tell
    real from generated that well."""
    outcomes = np.arange(count + 1)
    return float(binom.pmf(outcomes, count, accuracy)[_upper(count, 1 - 2 * alpha) < limit].sum())


def cases_to_rule_out(limit: float, power: float = 0.8, accuracy: float = 0.5, alpha: float = 0.05) -> SampleSize:
    """Cases for which readers of true `accuracy` (default: who guess) are shown to be below `limit` with `power`."""
    _check(limit=limit, power=power, accuracy=accuracy, alpha=alpha)
    if not accuracy < limit:
        raise ValueError(f"Found the limit {limit}, expected one above the true accuracy of {accuracy}.")
    return _smallest(lambda n: power_to_rule_out(n, limit, accuracy, alpha), power, f"a limit of {limit}")


def _upper(count: int, level: float) -> np.ndarray:
    outcomes = np.arange(count)
    return np.append(beta.ppf((1 + level) / 2, outcomes + 1, count - outcomes), 1.0)


def _lower(count: int, level: float) -> np.ndarray:
    outcomes = np.arange(1, count + 1)
    return np.append(0.0, beta.ppf((1 - level) / 2, outcomes, count - outcomes + 1))


def _smallest(measure: Callable[[int], float], wanted: float, what: str) -> SampleSize:
    """The first count after the last one that misses the goal.

    The teeth of exact power are shorter than a tenth of the count and a hundred: after so many in a row that reach the
    goal, no later one misses it; and none reaches it for good before half of the first power of two that does.
    """
    reaching = 2
    while measure(reaching) < wanted:
        reaching *= 2
        if reaching > MOST:
            raise ValueError(f"Found that {MOST} cases do not do for {what}, expected a goal within reach.")
    first: int | None = None
    count = max(2, reaching // 2)
    while first is None or count < first * 1.1 + 100:
        if measure(count) < wanted:
            first = None
        elif first is None:
            first = count
        count += 1
    return SampleSize(first, measure(first))


def _check(**shares: float) -> None:
    wrong = {name: value for name, value in shares.items() if not 0 < value < 1}
    if wrong:
        name, value = next(iter(wrong.items()))
        raise ValueError(f"Found {name} = {value}, expected a share between 0 and 1, as 0.8.")
