"""Affine initialisation for any anatomy: several starts compete, that of the headers first; doubtful results are
reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.registration.affine import AffineConfig, fit_affine
from SlicerSynthReg.registration.affine_init import approximate_affine, check_scaling, pad_grid
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.global_search import RotationSearchConfig, rotation_search, translation_search
from SlicerSynthReg.registration.preprocessing import (
    PreprocessedImage,
    affine_features,
    foreground_weight,
    mind_features,
)
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Transform

MIN_SHARED_FRACTION = 0.2
"""Smallest shared fraction of the smaller foreground; starts with less are discarded."""


@dataclass(frozen=True)
class GenericAffineInitConfig:
    """search: over rotations and translations. coarse_fit: ranks the starts. fit: the last one. min_improvement:
    relative decrease of the residual by which a start of the search must beat those of the headers and of the image
    centres. min_mirror_improvement: relative decrease by a left-right flip that is reported as doubtful.
    min_overlap: fraction of the fixed foreground that should lie in the moving one. max_full_resolution_voxels: up to
    this size the last fit is repeated at full resolution."""

    search: RotationSearchConfig = field(default_factory=lambda: RotationSearchConfig(max_angle=32.0, candidates=2))
    coarse_fit: AffineConfig = field(default_factory=lambda: AffineConfig(15, 0, 2000))
    fit: AffineConfig = field(default_factory=AffineConfig)
    min_improvement: float = 0.03
    min_mirror_improvement: float = 0.15
    min_overlap: float = 0.25
    max_full_resolution_voxels: int = 1_000_000


def initialise_affine_generic(
    fixed: PreprocessedImage,
    moving: PreprocessedImage,
    tissue: tuple[FeatureImage, FeatureImage] | None,
    config: GenericAffineInitConfig,
    initial: Transform | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the 4x4 fixed RAS mm -> moving RAS mm, and warnings.

    The starts are the headers, the aligned image centres, and the best of the search. tissue: `ct_tissue_fractions` of
    both images if they are CT. initial: fixed RAS mm -> moving RAS mm, replaces all starts.
    """
    mind = mind_features(fixed)
    box = FeatureImage(fixed.image[None], foreground_weight(fixed), fixed.grid).bounding_box(0.2)
    grid = pad_grid(box, 5 * fixed.grid.spacing[0])
    if initial is None:
        starts = _candidate_starts(fixed, moving, tissue, config)
        fits = [_fit_from(mind, moving, grid, start, config.coarse_fit) for start in starts]
        costs = [cost * (1 - config.min_improvement if n < 2 else 1) for n, (_, cost) in enumerate(fits)]
        matrix = fits[int(np.argmin(costs))][0] if np.isfinite(costs).any() else starts[2]
    else:
        matrix = approximate_affine(initial, mind)
    matrix, cost = _fit_from(mind, moving, grid, matrix, config.fit)
    features = mind_features
    if fixed.image.numel() <= config.max_full_resolution_voxels:
        features = _full_resolution_mind
        mind = features(fixed)
        matrix, cost = _fit_from(mind, moving, grid, matrix, config.fit, features)
    warnings = [*check_scaling(matrix), *check_overlap(fixed, moving, matrix, config.min_overlap)]
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = 2 * mind.centroid_mm()[0]
    flipped, _ = _fit_from(mind_features(fixed), moving, grid, matrix @ flip, config.coarse_fit)
    _, flipped_cost = _fit_from(mind, moving, grid, flipped, config.fit, features)
    if flipped_cost < (1 - config.min_mirror_improvement) * cost:
        warnings.append(
            "The moving image fits better with left and right exchanged. One of the headers may be wrong. Check the "
            "sides before you use the result. Nothing was exchanged here."
        )
    return matrix, tuple(warnings)


def _candidate_starts(
    fixed: PreprocessedImage,
    moving: PreprocessedImage,
    tissue: tuple[FeatureImage, FeatureImage] | None,
    config: GenericAffineInitConfig,
) -> list[np.ndarray]:
    """Return 4x4 starts: headers, image centres, then those of the search."""
    centres = np.eye(4)
    centres[:3, 3] = moving.grid.center_mm - fixed.grid.center_mm
    if tissue is not None:
        return [np.eye(4), centres, *translation_search(tissue[0], tissue[1])]
    candidates = rotation_search(affine_features(fixed).outline, affine_features(moving).outline, config.search)
    return [np.eye(4), centres, *(matrix for _, matrix in candidates)]


def _full_resolution_mind(image: PreprocessedImage) -> FeatureImage:
    return FeatureImage(mind_ssc(image.image[None, None])[0], foreground_weight(image), image.grid)


def _fit_from(
    fixed: FeatureImage,
    moving: PreprocessedImage,
    grid: Grid,
    start: np.ndarray,
    config: AffineConfig,
    features: Callable[[PreprocessedImage], FeatureImage] = mind_features,
) -> tuple[np.ndarray, float]:
    """Return `start` refined on MIND of the moving image resampled through it on `grid`, and the residual.

    The residual is infinite if the fields of view share too little. Voxels outside the moving field of view have no
    weight; otherwise the fit would scale the moving image to cover them.
    """
    resampled = features(moving.on(grid, start))
    view = FeatureImage(moving.image[None], torch.ones_like(moving.image), moving.grid).on(fixed.grid, start).weight
    shared = FeatureImage(fixed.values, fixed.weight * view, fixed.grid)
    smaller = float(min(fixed.weight.sum(), resampled.weight.sum()))
    if float(shared.weight.sum()) < max(50.0, MIN_SHARED_FRACTION * smaller):
        return start, np.inf
    fit = fit_affine(shared, resampled, np.eye(4), config)
    return start @ fit.matrix, fit.residual


def check_overlap(
    fixed: PreprocessedImage, moving: PreprocessedImage, matrix: np.ndarray, min_overlap: float
) -> list[str]:
    """Return a warning if less than `min_overlap` of the fixed foreground lies in the moving one through `matrix`."""
    weight = foreground_weight(fixed)
    common = weight * foreground_weight(moving.on(fixed.grid, matrix))
    overlap = float(common.sum() / weight.sum().clamp_min(1e-6))
    if overlap >= min_overlap:
        return []
    return [
        f"Only {100 * overlap:.0f} % of the fixed foreground lies in the moving one; the transform of the rest is an "
        "extrapolation. Choose images of the same part of the body, or crop the fixed image to the common part."
    ]
