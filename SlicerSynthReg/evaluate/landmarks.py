"""Target registration error: how far landmarks end from where an expert put them, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.space.grid import GeometryError
from SlicerSynthReg.space.transform import Affine, Transform


@dataclass(frozen=True, eq=False)
class TargetError:
    """errors_mm, displacements_mm: (N,) distance after registration, and before it (identity)."""

    errors_mm: np.ndarray
    displacements_mm: np.ndarray

    @property
    def mean_mm(self) -> float:
        return float(self.errors_mm.mean())

    @property
    def median_mm(self) -> float:
        return float(np.median(self.errors_mm))

    @property
    def percentile_95_mm(self) -> float:
        return float(np.percentile(self.errors_mm, 95))


@dataclass(frozen=True)
class Band:
    """Landmarks with low_mm <= displacement < high_mm: their mean error and its confidence band, in mm.

    lower_mm and upper_mm are NaN where a bin holds a single unit of resampling, mean_mm too where it holds none.
    """

    low_mm: float
    high_mm: float
    count: int
    mean_mm: float
    lower_mm: float
    upper_mm: float


def target_error(fixed_mm: np.ndarray, moving_mm: np.ndarray, transform: Transform | None = None) -> TargetError:
    """|T(fixed) - moving| of corresponding points (N, 3), RAS mm, in the moving world; T maps fixed to moving.

    GeometryError unless both lists are (N, 3) with the same N > 0.
    """
    fixed, moving = np.asarray(fixed_mm, dtype=np.float64), np.asarray(moving_mm, dtype=np.float64)
    if fixed.shape != moving.shape or fixed.ndim != 2 or fixed.shape[1] != 3 or not len(fixed):
        raise GeometryError(
            f"Found landmarks of shapes {fixed.shape} and {moving.shape}, expected two lists (N, 3) of the same "
            "length: point n of one is point n of the other. Pair the lists first."
        )
    mapped = (transform or Affine()).map_points(fixed)
    return TargetError(np.linalg.norm(mapped - moving, axis=1), np.linalg.norm(fixed - moving, axis=1))


def by_displacement(
    error: TargetError,
    edges_mm: Sequence[float],
    cases: Sequence[object] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Band, ...]:
    """Mean error in bins of displacement length, with percentile bootstrap bands (Efron 1979).

    edges_mm: ascending, B + 1 of them for B bins. cases: (N,) the person each landmark belongs to; whole persons are
    then drawn, since landmarks of one person share their errors and would make the band too narrow. level: coverage.
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
        bands.append(Band(float(low), float(high), len(values), mean, lower, upper))
    return tuple(bands)


def even_edges(displacements_mm: np.ndarray, bins: int) -> np.ndarray:
    """(bins + 1,) or fewer ascending lengths in mm that part the displacements into bins of about equal counts (paper
    2 of the thesis); the last edge lies just above the longest. Equal lengths are never parted."""
    edges = np.unique(np.quantile(np.asarray(displacements_mm, dtype=np.float64), np.linspace(0, 1, bins + 1)))
    edges[-1] = np.nextafter(edges[-1], np.inf)
    return edges if len(edges) > 1 else np.array([edges[0] - 1e-6, edges[0]])


def _bootstrap(
    values: np.ndarray, owners: np.ndarray, level: float, draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Band of the mean when owners are drawn with replacement; an owner brings all of its values."""
    _, code = np.unique(owners, return_inverse=True)
    sums, sizes = np.bincount(code, weights=values), np.bincount(code)
    if len(sizes) < 2:
        return float("nan"), float("nan")
    drawn = generator.integers(len(sizes), size=(draws, len(sizes)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
