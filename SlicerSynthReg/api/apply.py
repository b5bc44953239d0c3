"""Application of a transform in memory: `apply_transform`."""

from __future__ import annotations

import numpy as np

from SlicerSynthReg.api.images import ImageLike, LandmarksLike, TransformLike, as_image, as_landmarks, as_transform
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.inverse_points import inverse_points


def apply_transform(
    image: ImageLike, transform: TransformLike, reference: ImageLike | Grid, *, kind: str = "scalar"
) -> Image:
    """Return `image` on the grid of `reference`: moved(x) = image(T(x)).

    transform: T, RAS mm of the reference -> RAS mm of the image. kind: "scalar" (linear interpolation) or "labels"
    (nearest neighbour). reference: only its grid counts; an Image may be of any kind. Raises ImageError, GeometryError.
    """
    if isinstance(reference, (Grid, Image)):
        grid = reference if isinstance(reference, Grid) else reference.grid
    else:
        grid = as_image(reference, allow_degenerate=True).grid
    moving = as_image(image, kind, allow_degenerate=True)
    return moving.resampled(grid, as_transform(transform, grid))


def apply_to_landmarks(
    landmarks: LandmarksLike, transform: TransformLike, grid: Grid, inverse: bool = False
) -> tuple[Landmarks, np.ndarray]:
    """Return the landmarks moved along with the image, and (N,) whether each was found.

    transform: as in `apply_transform`; a landmark y goes to the x in the space of `grid` with T(x) = y. inverse: map
    landmarks x of the reference to T(x) instead.
    """
    points, mapping = as_landmarks(landmarks), as_transform(transform, grid)
    if inverse:
        return Landmarks(mapping.map_points(points.points_mm), points.labels), np.ones(
            len(points.points_mm), dtype=bool
        )
    moved_mm, found = inverse_points(points.points_mm, mapping, grid)
    return Landmarks(moved_mm, points.labels), found
