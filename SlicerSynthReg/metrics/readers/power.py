"""Sample size of a reader study, by exact binomial probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom

MAX_CASES = 8_192


@dataclass(frozen=True)
class SampleSize:
    """count: smallest number of cases such that every larger number also reaches the goal (exact power is a saw-tooth
    function of the number). reached: power or width at `count`."""

    count: int
    reached: float


def power_against_chance(count: int, accuracy: float, chance: float = 0.5, alpha: float = 0.05) -> float:
    """Return the power of the exact two-sided binomial test against `chance` at a true `accuracy`."""
    outcomes = np.arange(count + 1)
    return float(binom.pmf(outcomes, count, accuracy)[p_values(count, chance) <= alpha].sum())


def p_values(count: int, chance: float) -> np.ndarray:
    """Return the exact two-sided p-value of each number of successes, (count + 1,): all outcomes no likelier."""
    mass = binom.pmf(np.arange(count + 1), count, chance)
    order = np.sort(mass)
    below = np.searchsorted(order, mass * (1 + 1e-7), side="right")
    return np.minimum(1.0, np.concatenate([[0.0], np.cumsum(order)])[below])


def cases_for_power(accuracy: float, power: float = 0.8, chance: float = 0.5, alpha: float = 0.05) -> SampleSize:
    """Return the number of cases for which `accuracy` is distinguished from `chance` with probability `power`.

    Raises ValueError if MAX_CASES cases do not suffice, or for a value outside 0 to 1.
    """
    _check(accuracy=accuracy, power=power, chance=chance, alpha=alpha)
    return _smallest(lambda n: power_against_chance(n, accuracy, chance, alpha), power, f"an accuracy of {accuracy}")


def expected_width(count: int, accuracy: float, level: float = 0.95) -> float:
    """Return the expected width of the Clopper-Pearson interval at a true `accuracy`."""
    outcomes = np.arange(count + 1)
    return float(binom.pmf(outcomes, count, accuracy) @ (_upper(count, level) - _lower(count, level)))


def cases_for_width(accuracy: float, width: float, level: float = 0.95) -> SampleSize:
    """Return the number of cases for which the exact interval is at most `width` wide (0.2: plus or minus 0.1), in
    expectation. Raises ValueError."""
    _check(accuracy=accuracy, width=width, level=level)
    found = _smallest(lambda n: -expected_width(n, accuracy, level), -width, f"a width of {width}")
    return SampleSize(found.count, -found.reached)


def power_to_rule_out(count: int, limit: float, accuracy: float = 0.5, alpha: float = 0.05) -> float:
    """Return the probability that the one-sided upper bound (1 - alpha) of the accuracy is below `limit`
    (non-superiority)."""
    outcomes = np.arange(count + 1)
    return float(binom.pmf(outcomes, count, accuracy)[_upper(count, 1 - 2 * alpha) < limit].sum())


def cases_to_rule_out(limit: float, power: float = 0.8, accuracy: float = 0.5, alpha: float = 0.05) -> SampleSize:
    """Return the number of cases for which readers of true `accuracy` (default: guessing) are shown to be below `limit`
    with probability `power`. Raises ValueError."""
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
    """Return the first count after the last one that misses the goal.

    The period of the saw-tooth is shorter than a tenth of the count plus 100: after so many successive counts that
    reach the goal, no later one misses it; and none reaches it for good before half of the first power of two that
    does.
    """
    reaching = 2
    while measure(reaching) < wanted:
        reaching *= 2
        if reaching > MAX_CASES:
            raise ValueError(f"Found that {MAX_CASES} cases do not do for {what}, expected a goal within reach.")
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
