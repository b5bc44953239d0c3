"""Inversion of a transform at points, without a dense inverse."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Transform

TOLERANCE_MM = 0.01
MAX_ITERATIONS = 30
_LATTICE = 24


def inverse_points(points_mm: np.ndarray, transform: Transform, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 3) the points x with T(x) = y for points y (N, 3), RAS mm, and (N,) whether one was found.

    An affine T is inverted; for others x is sought within `grid` by Newton's method, from the voxel of `grid` that T
    maps nearest to y. Unlike transform.inverse() it needs no field around y, and a field that is the identity outside
    its grid does not mislead it.
    """
    if isinstance(transform, Affine):
        return transform.inverse().map_points(points_mm), np.ones(len(points_mm), dtype=bool)
    steps = [np.linspace(0, n - 1, min(n, _LATTICE)) for n in grid.shape]
    start = grid.index_to_world(np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3))
    target = np.asarray(points_mm, dtype=np.float64)
    best = start[cKDTree(transform.map_points(start)).query(target)[1]]
    error = transform.map_points(best) - target
    damping = np.ones(len(best))
    for _ in range(MAX_ITERATIONS):
        slopes = [transform.map_points(best + h) - transform.map_points(best - h) for h in 0.5 * np.eye(3)]
        newton = np.einsum("nab,nb->na", np.linalg.pinv(np.stack(slopes, axis=-1)), error)
        x = best - damping[:, None] * newton
        trial = transform.map_points(x) - target
        index = grid.world_to_index(x)
        inside = ((index >= -0.5) & (index <= np.array(grid.shape) - 0.5)).all(axis=1)
        nearer = inside & (np.linalg.norm(trial, axis=1) < np.linalg.norm(error, axis=1))
        best, error = np.where(nearer[:, None], x, best), np.where(nearer[:, None], trial, error)
        damping = np.where(nearer, 1.0, damping / 2)
    return best, np.linalg.norm(error, axis=1) < TOLERANCE_MM
