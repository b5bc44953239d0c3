"""Affine initialisation of two brain images: rotation and translation search, then Gauss-Newton from its candidates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.registration.affine import AffineConfig, fit_affine
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.global_search import RotationSearchConfig, rotation_search
from SlicerSynthReg.registration.landmark_fit import best_affine
from SlicerSynthReg.registration.preprocessing import (
    PreprocessedImage,
    RegistrationPair,
    affine_features,
    foreground_weight,
    mind_features,
)
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import subsample
from SlicerSynthReg.spatial.transform import Transform

MIN_SCALING, MAX_SCALING = 0.6, 1.5
"""Range of scaling between anatomies, beyond which the result is reported as doubtful."""


@dataclass(frozen=True)
class AffineInitConfig:
    """search: over rotations and translations. coarse_fit: ranks its candidates. fit: applied `rounds` times to the
    best. final_fit: with the structures of a network; one round then suffices."""

    search: RotationSearchConfig = field(default_factory=RotationSearchConfig)
    coarse_fit: AffineConfig = field(default_factory=lambda: AffineConfig(12, 6, 1500))
    fit: AffineConfig = field(default_factory=AffineConfig)
    rounds: int = 2
    final_fit: AffineConfig = field(default_factory=lambda: AffineConfig(0, 10, 4000))


def initialise_affine(
    fixed: PreprocessedImage,
    moving: PreprocessedImage,
    config: AffineInitConfig,
    initial: Transform | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the 4x4 fixed RAS mm -> moving RAS mm, and warnings.

    The search's candidates are fitted on few voxels; the best is fitted on many, with MIND recomputed in each round on
    the moving image resampled through the present affine. initial: fixed RAS mm -> moving RAS mm, replaces the search.
    """
    f = affine_features(fixed)
    if initial is not None:
        matrix = approximate_affine(initial, f.mind)
    else:
        m = affine_features(moving)
        candidates = [matrix for _, matrix in rotation_search(f.outline, m.outline, config.search)]
        fits = [fit_affine(f.rotatable, m.rotatable, start, config.coarse_fit) for start in candidates]
        matrix = min(fits, key=lambda fit: fit.residual).matrix
    grid = pad_grid(FeatureImage(fixed.image[None], foreground_weight(fixed), fixed.grid).bounding_box(0.2))
    for _ in range(config.rounds):
        resampled = mind_features(moving.on(grid, matrix))
        matrix = matrix @ fit_affine(f.mind, resampled, np.eye(4), config.fit).matrix
    return matrix, check_scaling(matrix)


def refine_affine(pair: RegistrationPair, config: AffineInitConfig) -> np.ndarray:
    """Return the 4x4 from the grid of `pair` to itself that refines the affine, by MIND and structures at half
    resolution."""
    images = []
    for image in (pair.fixed, pair.moving):
        half = F.avg_pool3d(image.image[None, None], 2)
        weight = F.avg_pool3d(image.weight[None, None], 2)
        structures = () if image.structures is None else (F.avg_pool3d(image.structures[None].cpu(), 2)[0] * weight[0],)
        values = torch.cat([mind_ssc(half)[0], weight[0], *structures])
        images.append(FeatureImage(values, (weight[0, 0] > 0.1).float(), pair.grid.downsampled(2)))
    return fit_affine(images[0], images[1], np.eye(4), config.final_fit).matrix


def check_scaling(matrix: np.ndarray) -> tuple[str, ...]:
    """Return a warning if the linear part of a 4x4 scales more than anatomies differ in size."""
    scale = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    if scale.max() <= MAX_SCALING and scale.min() >= MIN_SCALING:
        return ()
    return (
        f"The affine part scales by {scale.min():.2f} to {scale.max():.2f}, expected about 1. The images may show "
        "different anatomy or overlap too little. Inspect the picture before you use the result.",
    )


def pad_grid(grid: Grid, margin_mm: float = 20.0) -> Grid:
    """Return `grid` extended by `margin_mm` on every side, so that structures near its faces are included."""
    low = tuple(-int(np.ceil(margin_mm / s)) for s in grid.spacing)
    return grid.cropped(low, tuple(n - a for n, a in zip(grid.shape, low)))


def approximate_affine(transform: Transform, fixed: FeatureImage) -> np.ndarray:
    """Return the 4x4 that approximates `transform` over the foreground of `fixed` (least squares)."""
    inside = (fixed.weight > 0.3).nonzero().numpy()
    index = subsample(inside, 2000, at_least=True) if len(inside) > 10 else fixed.grid.corner_indices()
    points = fixed.grid.index_to_world(index)
    return best_affine(points, transform.map_points(points))
