"""The only RAS <-> LPS flip of the project.

Inside, all is RAS mm (x grows to the right, y to the front, z up). ITK, DICOM, NRRD written by ITK and .tfm/.h5 files
are LPS mm. The flip diag(-1, -1, 1) is its own inverse, so each function serves both ways.
"""

from __future__ import annotations

import numpy as np

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def flip_vectors(vectors_mm: np.ndarray) -> np.ndarray:
    """Points or displacements (..., 3) in mm, RAS <-> LPS; float types are kept."""
    return vectors_mm * _FLIP.diagonal()[:3].astype(vectors_mm.dtype)


def flip_affine(affine: np.ndarray) -> np.ndarray:
    """4x4 index -> RAS mm, to or from 4x4 index -> LPS mm."""
    return _FLIP @ affine


def flip_map(matrix: np.ndarray) -> np.ndarray:
    """4x4 world -> world map between RAS points, to or from the same map between LPS points."""
    return _FLIP @ matrix @ _FLIP
