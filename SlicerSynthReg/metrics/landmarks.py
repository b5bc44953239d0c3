"""Target registration error of landmarks, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.errors import GeometryError
from SlicerSynthReg.spatial.transform import Affine, Transform


@dataclass(frozen=True, eq=False)
class TargetRegistrationError:
    """errors_mm, displacements_mm: (N,) distances after and before registration (identity)."""

    errors_mm: np.ndarray
    displacements_mm: np.ndarray

    @property
    def mean_mm(self) -> float:
        """Mean error."""
        return float(self.errors_mm.mean())


@dataclass(frozen=True)
class ErrorBand:
    """Mean error of landmarks with low_mm <= displacement < high_mm, and its confidence interval, in mm.

    lower_mm and upper_mm are NaN for a bin with a single unit of resampling, mean_mm also for an empty one.
    """

    low_mm: float
    high_mm: float
    count: int
    mean_mm: float
    lower_mm: float
    upper_mm: float


def target_registration_error(
    fixed_mm: np.ndarray, moving_mm: np.ndarray, transform: Transform | None = None
) -> TargetRegistrationError:
    """Return |T(fixed) - moving| of corresponding points (N, 3), RAS mm; T maps fixed to moving.

    Raises GeometryError (landmark-mismatch) unless both lists are (N, 3) with the same N > 0.
    """
    fixed, moving = np.asarray(fixed_mm, dtype=np.float64), np.asarray(moving_mm, dtype=np.float64)
    if fixed.shape != moving.shape or fixed.ndim != 2 or fixed.shape[1] != 3 or not len(fixed):
        raise GeometryError(
            f"Found landmarks of shapes {fixed.shape} and {moving.shape}, expected two lists (N, 3) of the same "
            "length: point n of one is point n of the other. Pair the lists first.",
            code="landmark-mismatch",
        )
    mapped = (transform or Affine()).map_points(fixed)
    return TargetRegistrationError(np.linalg.norm(mapped - moving, axis=1), np.linalg.norm(fixed - moving, axis=1))


def error_by_displacement(
    error: TargetRegistrationError,
    edges_mm: Sequence[float],
    cases: Sequence[object] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[ErrorBand, ...]:
    """Return the mean error in bins of displacement length, with percentile bootstrap intervals (Efron 1979).

    edges_mm: B + 1 ascending edges of B bins. cases: (N,) subject of each landmark; whole subjects are then resampled,
    since errors of one subject are correlated. level: of confidence. Raises ValueError.
    """
    edges = np.asarray(edges_mm, dtype=np.float64)
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"Found bin edges {edges.tolist()}, expected two or more ascending lengths in mm.")
    count = len(error.errors_mm)
    owners = np.arange(count) if cases is None else np.unique(np.asarray(cases), return_inverse=True)[1].reshape(-1)
    if len(owners) != count:
        raise ValueError(f"Found {len(owners)} cases for {count} landmarks, expected one case for each landmark.")
    generator = np.random.default_rng(seed)
    bands = []
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (error.displacements_mm >= low) & (error.displacements_mm < high)
        values = error.errors_mm[inside]
        mean = float(values.mean()) if len(values) else float("nan")
        lower, upper = _bootstrap(values, owners[inside], level, draws, generator)
        bands.append(ErrorBand(float(low), float(high), len(values), mean, lower, upper))
    return tuple(bands)


def equal_count_edges(displacements_mm: np.ndarray, bins: int) -> np.ndarray:
    """Return (bins + 1,) or fewer ascending edges in mm of bins with about equal counts (thesis paper 2). The last edge
    is just above the largest displacement; equal displacements share a bin."""
    edges = np.unique(np.quantile(np.asarray(displacements_mm, dtype=np.float64), np.linspace(0, 1, bins + 1)))
    edges[-1] = np.nextafter(edges[-1], np.inf)
    return edges if len(edges) > 1 else np.array([edges[0] - 1e-6, edges[0]])


def _bootstrap(
    values: np.ndarray, owners: np.ndarray, level: float, draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Return the interval of the mean when owners, each with all of its values, are resampled with replacement."""
    _, code = np.unique(owners, return_inverse=True)
    sums, sizes = np.bincount(code, weights=values), np.bincount(code)
    if len(sizes) < 2:
        return float("nan"), float("nan")
    drawn = generator.integers(len(sizes), size=(draws, len(sizes)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
