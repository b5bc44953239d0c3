"""The linear map that brings landmark pairs upon each other: where a registration may start."""

from __future__ import annotations

import numpy as np

from SlicerSynthReg.space.grid import GeometryError

FEWEST, FOR_AFFINE = 3, 6
FLAT_MM = 2.0
"""Points that spread by less (SD) across a line have no direction about it."""
FULL = 0.15
"""Share of the longest spread that the shortest must reach before stretches are fitted too."""


def fit_points(fixed_mm: np.ndarray, moving_mm: np.ndarray) -> np.ndarray:
    """4x4 fixed RAS -> moving RAS, least squares over corresponding points (N, 3), RAS mm.

    Rigid (Kabsch 1976, never a mirror image); affine from six pairs on that spread in all three directions.
    GeometryError for fewer than three pairs, lists of different length, and points that lie in a line or in one place.
    """
    fixed, moving = np.asarray(fixed_mm, dtype=np.float64), np.asarray(moving_mm, dtype=np.float64)
    if fixed.shape != moving.shape or len(fixed) < FEWEST:
        raise GeometryError(
            f"Found {len(fixed)} fixed and {len(moving)} moving landmarks, expected the same {FEWEST} places or more "
            "in both images, in the same order. Place further pairs, or start without landmarks."
        )
    f_center, m_center = fixed.mean(0), moving.mean(0)
    a, b = fixed - f_center, moving - m_center
    spreads = [np.linalg.svd(points, compute_uv=False) / np.sqrt(len(points)) for points in (a, b)]
    for name, spread in zip(("fixed", "moving"), spreads):
        if spread[1] < FLAT_MM:
            raise GeometryError(
                f"Found {name} landmarks in a line (they spread by {spread[1]:.1f} mm across it), expected a triangle "
                "at least. Place a further pair away from that line."
            )
    if len(fixed) >= FOR_AFFINE and all(spread[2] > FULL * spread[0] for spread in spreads):
        linear = np.linalg.lstsq(a, b, rcond=None)[0].T
        if np.linalg.det(linear) > 0:
            return _about(linear, f_center, m_center)
    u, _, vt = np.linalg.svd(a.T @ b)
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    return _about(vt.T @ proper @ u.T, f_center, m_center)


def _about(linear: np.ndarray, f_center: np.ndarray, m_center: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = m_center - linear @ f_center
    return matrix
