"""Registration of two brain images: brain masks, affine, SynthMorph velocity, instance optimisation.

1. The network segments the brain in each image; the registration is restricted to these masks. 2. Rotation and
translation search, then Gauss-Newton for 12 affine parameters. 3. On the bounding box of the fixed brain, with the
moving image resampled through the affine, the matching network predicts a stationary velocity v, which Gauss-Newton
refines on this pair. The transform is affine o exp(v): diffeomorphic, with an exact inverse. Without a network the
whole foreground is compared, and step 3 starts from v = 0.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.errors import BrainNotFound
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress
from SlicerSynthReg.registration.affine_init import AffineInitConfig, initialise_affine, refine_affine
from SlicerSynthReg.registration.ct_tissue import check_foreground
from SlicerSynthReg.registration.deformable import (
    DeformableConfig,
    DeformableResult,
    refine_finest_level,
    register_deformable,
    warp_feature_image,
    weighted_correlation,
)
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.preprocessing import (
    PreprocessedImage,
    RegistrationImage,
    RegistrationPair,
    brain_mask,
    foreground_bbox,
    foreground_weight,
    local_contrast,
    normalise_and_resample,
)
from SlicerSynthReg.registration.synthmorph import NetworkFeatures, SynthMorph
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.spatial.transform import Affine, Composite, Transform, Velocity

_FINEST_STAGE = "refinement at half the voxel size"


@dataclass(frozen=True)
class BrainPipelineConfig:
    """Configuration of the brain pipeline.

    spacing_mm: isotropic voxel size of the comparison, for which the network was trained. regularization: 1 is the
    default smoothness, higher is smoother. network, refine, affine_only: stages that run. require_brains: raise
    BrainNotFound if the network recognises no brain in one of the images. margin_mm: added around the fixed brain.
    skull_stripped_fraction: images in which the brain exceeds this share of the foreground are taken as skull-stripped
    (0.84 in skull-stripped images, 0.35 to 0.51 in whole heads). finest_level_ratio: the finest level, at half of
    `spacing_mm`, runs if the voxels of both images are at most this multiple of `spacing_mm` along every axis and its
    grid has at most `max_voxels`. device: device of network and refinement.
    """

    spacing_mm: float = 2.0
    regularization: float = 1.0
    network: bool = True
    refine: bool = True
    affine_only: bool = False
    require_brains: bool = False
    affine_init: AffineInitConfig = field(default_factory=AffineInitConfig)
    deformable: DeformableConfig = field(default_factory=DeformableConfig)
    margin_mm: float = 8.0
    skull_stripped_fraction: float = 0.7
    finest_level_ratio: float = 0.75
    max_voxels: int = 12_000_000
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class PipelineResult:
    """Result of a registration pipeline.

    transform: fixed RAS mm -> moving RAS mm; an Affine, or a Composite of velocities and an Affine. seconds: stage ->
    seconds. similarity_before, similarity_after: absolute correlation of the local contrast of both images over the
    common foreground, after the affine stage and at the end.
    """

    transform: Transform
    seconds: dict[str, float]
    similarity_before: float
    similarity_after: float
    warnings: tuple[str, ...] = ()


def register_brains(
    inputs: RegistrationInputs,
    config: BrainPipelineConfig,
    model: SynthMorph | None = None,
    progress: Progress = no_progress,
) -> PipelineResult:
    """Register the moving to the fixed image of `inputs`.

    inputs: images, masks and initial transform are used; the affine fitted to the initial transform replaces the search
    and is refined. model: None compares the whole foreground, without a network. Raises ImageError if an image or mask
    has no foreground, BrainNotFound with `require_brains`.
    """
    watch = Stopwatch(progress)
    model = None if model is None else model.to(config.device)
    with torch.inference_mode():
        watch.stage("preprocessing", 0.02)
        fixed = normalise_and_resample(inputs.fixed, inputs.fixed_mask, config.spacing_mm)
        moving = normalise_and_resample(inputs.moving, inputs.moving_mask, config.spacing_mm)
        for name, image in (("fixed", fixed), ("moving", moving)):
            check_foreground(name, image)
        watch.stage("brain segmentation", 0.1)
        brains = _apply_brain_masks(model, (fixed, moving), config)
        watch.stage("affine", 0.15)
        network = None if brains.warnings or config.affine_only else model
        init = config.affine_init if network is None else dataclasses.replace(config.affine_init, rounds=1)
        matrix, warnings = initialise_affine(*brains.images, init, inputs.initial_transform)
        grid = foreground_bbox(brains.images[0], config.margin_mm)
        aligned = brains.images[0].on(grid), brains.images[1].on(grid, matrix)
        features: list[NetworkFeatures] = []
        if network is not None:
            watch.stage("features of the aligned images", 0.4)
            features = [network_features(network, image, config.device) for image in aligned]
        pair = _registration_pair(aligned, features, brains.is_skull_stripped, grid)
        if pair.fixed.structures is not None:
            watch.stage("affine", 0.45)
            step = refine_affine(pair, config.affine_init)
            matrix, pair = matrix @ step, dataclasses.replace(pair, moving=pair.moving.through(step, grid))
        f, m = (FeatureImage(local_contrast(image.image), image.weight, grid) for image in (pair.fixed, pair.moving))
        velocity, before = None, abs(weighted_correlation(f, m))
        if not config.affine_only:
            result = _estimate_velocity(model, features, pair, config, watch)
            velocity = None if result is None else result.velocity
            if result is not None and result.same_contrast and _allows_finest_level(inputs, grid, config):
                watch.stage(_FINEST_STAGE, 0.75)
                velocity = _refine_finest_level(inputs, matrix, pair, result.velocity, config, watch)
        watch.stage("similarity", 0.95)
        transform = Affine(matrix) if velocity is None else Composite((velocity, Affine(matrix)))
        after = before if velocity is None else abs(weighted_correlation(f, warp_feature_image(m, velocity)))
    watch.end()
    return PipelineResult(transform, watch.seconds, before, after, brains.warnings + warnings)


def network_features(model: SynthMorph, image: PreprocessedImage, device: str) -> NetworkFeatures:
    """Return the network's features of an image, computed on `device`, where `model` lies."""
    return model.features(image.image[None, None].to(device))


@dataclass(frozen=True, eq=False)
class _BrainImages:
    """images: fixed and moving, restricted to their brains. warnings: set if a brain was not recognised."""

    images: tuple[PreprocessedImage, PreprocessedImage]
    is_skull_stripped: tuple[bool, bool] = (False, False)
    warnings: tuple[str, ...] = ()


def _apply_brain_masks(
    model: SynthMorph | None, images: tuple[PreprocessedImage, PreprocessedImage], config: BrainPipelineConfig
) -> _BrainImages:
    """Restrict the images to the brains that the network segments.

    Skull-stripped images are returned unchanged, since their own outline is more accurate than the network's. All
    images are returned unchanged without a network with labels, and, with a warning, if a brain is not recognised.
    """
    if model is None or not model.config.labels:
        return _BrainImages(images)
    masks = [brain_mask(network_features(model, image, config.device), image.grid) for image in images]
    if masks[0] is None or masks[1] is None:
        which = " or ".join(name for name, mask in zip(("fixed", "moving"), masks) if mask is None)
        if config.require_brains:
            raise BrainNotFound(f"No brain was recognised in the {which} image.")
        text = f"No brain was recognised in the {which} image. The whole foreground was registered without the network."
        return _BrainImages(images, warnings=(text,))
    brains = [image.within(mask) for image, mask in zip(images, masks)]
    for name, brain in zip(("fixed", "moving"), brains):
        check_foreground(name, brain, "brain")
    first, second = (
        bool(foreground_weight(brain).sum() > config.skull_stripped_fraction * foreground_weight(image).sum())
        for brain, image in zip(brains, images)
    )
    return _BrainImages((images[0] if first else brains[0], images[1] if second else brains[1]), (first, second))


def _registration_pair(
    aligned: tuple[PreprocessedImage, PreprocessedImage],
    features: list[NetworkFeatures],
    is_skull_stripped: tuple[bool, bool],
    grid: Grid,
) -> RegistrationPair:
    """Return both images on `grid`, weighted by the brain masks of `features` where both show a brain."""
    masks = [brain_mask(feature, grid) for feature in features]
    if not masks or masks[0] is None or masks[1] is None:
        fixed, moving = (RegistrationImage(image.image, foreground_weight(image), None) for image in aligned)
    else:
        fixed, moving = (
            RegistrationImage(
                image.image, foreground_weight(image if stripped else image.within(mask)), feature.structures
            )
            for image, stripped, mask, feature in zip(aligned, is_skull_stripped, masks, features)
            if mask is not None
        )
    return RegistrationPair(fixed, moving, grid)


def _estimate_velocity(
    model: SynthMorph | None,
    features: list[NetworkFeatures],
    pair: RegistrationPair,
    config: BrainPipelineConfig,
    watch: Stopwatch,
) -> DeformableResult | None:
    """Return the velocity by network and refinement; None if neither runs."""
    start = None
    if model is not None and features and config.network:
        watch.stage("network", 0.5)
        i, j, k = (n // 2 for n in pair.grid.shape)  # the network pads its grid
        start = model.velocity(features[0].levels, features[1].levels, config.regularization)[0, :, :i, :j, :k]
    if not config.refine:
        return None if start is None else DeformableResult(Velocity(start.cpu(), pair.grid.downsampled(2)), False)
    watch.stage("refinement", 0.55)
    result = register_deformable(
        pair.to(config.device),
        start,
        config.regularization,
        config.deformable,
        lambda done: watch.progress(0.55 + 0.2 * done, "refinement"),
    )
    return dataclasses.replace(result, velocity=_to_cpu(result.velocity))


def _refine_finest_level(
    inputs: RegistrationInputs,
    matrix: np.ndarray,
    pair: RegistrationPair,
    start: Velocity,
    config: BrainPipelineConfig,
    watch: Stopwatch,
) -> Velocity:
    """Refine `start` at half the voxel size of `pair`, whose weights are interpolated."""
    grid = pair.grid.upsampled(2)
    images = []
    for image, through, coarse in ((inputs.fixed, None, pair.fixed), (inputs.moving, matrix, pair.moving)):
        fine = normalise_and_resample(image, None, float(grid.spacing.max())).on(grid, through).image
        images.append(RegistrationImage(fine, resize(coarse.weight[None, None], grid.shape)[0, 0], None))
    velocity = refine_finest_level(
        RegistrationPair(images[0], images[1], grid).to(config.device),
        start.v_vox.to(config.device),
        config.regularization,
        config.deformable,
        lambda done: watch.progress(0.75 + 0.2 * done, _FINEST_STAGE),
    )
    return _to_cpu(velocity)


def _allows_finest_level(inputs: RegistrationInputs, grid: Grid, config: BrainPipelineConfig) -> bool:
    """Return whether the images are fine enough, and `grid` small enough, for half of its voxel size."""
    largest = max(float(image.grid.spacing.max()) for image in (inputs.fixed, inputs.moving))
    fine = largest <= config.finest_level_ratio * float(grid.spacing.max())
    return fine and 8 * grid.voxel_count <= config.max_voxels


def _to_cpu(velocity: Velocity) -> Velocity:
    return Velocity(velocity.v_vox.cpu(), velocity.grid, velocity.steps)
