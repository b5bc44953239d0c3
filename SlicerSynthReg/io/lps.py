"""The only conversion between RAS and LPS of the project.

Internally all coordinates are RAS mm (x to the right, y anterior, z superior). ITK, DICOM, NRRD written by ITK and
.tfm/.h5 files are LPS mm. The flip diag(-1, -1, 1) is its own inverse: each function converts in both directions.
"""

from __future__ import annotations

import numpy as np

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def flip_vectors(vectors_mm: np.ndarray) -> np.ndarray:
    """Convert points or displacements (..., 3) in mm; the float type is kept."""
    return vectors_mm * _FLIP.diagonal()[:3].astype(vectors_mm.dtype)


def flip_affine(affine: np.ndarray) -> np.ndarray:
    """Convert a 4x4 map from index to mm."""
    return _FLIP @ affine


def flip_map(matrix: np.ndarray) -> np.ndarray:
    """Convert a 4x4 map from mm to mm."""
    return _FLIP @ matrix @ _FLIP
