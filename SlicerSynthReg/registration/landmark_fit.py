"""Linear maps fitted to corresponding points by least squares."""

from __future__ import annotations

import numpy as np

from SlicerSynthReg.errors import GeometryError

MIN_LANDMARKS, MIN_AFFINE_LANDMARKS = 3, 6
MIN_SPREAD_MM = 2.0
"""Smallest SD across a line: points below it are collinear."""
MIN_SPREAD_RATIO = 0.15
"""Smallest ratio of the shortest to the longest principal SD for which scaling and shear are fitted."""


def fit_landmarks(fixed_mm: np.ndarray, moving_mm: np.ndarray) -> np.ndarray:
    """Return the 4x4 fixed RAS mm -> moving RAS mm that fits corresponding points (N, 3) best.

    Rigid (Kabsch 1976, without reflection); affine from six pairs on that spread in all three directions. Raises
    GeometryError for fewer than three pairs or lists of different length ("landmarks-count"), and for collinear points
    ("landmarks-collinear").
    """
    fixed, moving = np.asarray(fixed_mm, dtype=np.float64), np.asarray(moving_mm, dtype=np.float64)
    if fixed.shape != moving.shape or len(fixed) < MIN_LANDMARKS:
        raise GeometryError(
            f"Found {len(fixed)} fixed and {len(moving)} moving landmarks, expected the same {MIN_LANDMARKS} or more "
            "points in both images, in the same order. Place further pairs, or do not initialise from landmarks.",
            code="landmarks-count",
        )
    f_center, m_center = fixed.mean(0), moving.mean(0)
    a, b = fixed - f_center, moving - m_center
    spreads = [np.linalg.svd(points, compute_uv=False) / np.sqrt(len(points)) for points in (a, b)]
    for name, spread in zip(("fixed", "moving"), spreads):
        if spread[1] < MIN_SPREAD_MM:
            raise GeometryError(
                f"Found {name} landmarks in a line (SD {spread[1]:.1f} mm across it), expected a triangle at least. "
                "Place a further pair away from that line.",
                code="landmarks-collinear",
            )
    if len(fixed) >= MIN_AFFINE_LANDMARKS and all(spread[2] > MIN_SPREAD_RATIO * spread[0] for spread in spreads):
        linear = np.linalg.lstsq(a, b, rcond=None)[0].T
        if np.linalg.det(linear) > 0:
            return _about(linear, f_center, m_center)
    u, _, vt = np.linalg.svd(a.T @ b)
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    return _about(vt.T @ proper @ u.T, f_center, m_center)


def best_affine(points_mm: np.ndarray, mapped_mm: np.ndarray) -> np.ndarray:
    """Return the 4x4 that maps `points_mm` (N, 3) to `mapped_mm` (N, 3) with the least squared error."""
    homogeneous = np.concatenate([points_mm, np.ones((len(points_mm), 1))], axis=1)
    rows = np.linalg.lstsq(homogeneous, mapped_mm, rcond=None)[0]
    return np.vstack([rows.T, [0.0, 0.0, 0.0, 1.0]])


def _about(linear: np.ndarray, f_center: np.ndarray, m_center: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = m_center - linear @ f_center
    return matrix
