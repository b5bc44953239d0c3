"""Registration of any anatomy without a network trained for it: affine initialisation, coupled convex search,
refinement.

1. Both images are resampled to one isotropic voxel size, as fine as they are or as the number of voxels allows. 2.
Several affine starts compete, and the best is refined (generic_affine_init.py). 3. The coupled convex search bridges
large displacements. 4. From there, Gauss-Newton refines on feature channels, or Adam on the requested similarity. The
transform is affine o exp(v_search) o exp(v): diffeomorphic, with an exact inverse.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress
from SlicerSynthReg.registration.adam import AdamConfig, optimise_velocity
from SlicerSynthReg.registration.brain_pipeline import PipelineResult
from SlicerSynthReg.registration.convex_search import ConvexConfig, convex_search
from SlicerSynthReg.registration.ct_tissue import (
    MIN_FOREGROUND_VOXELS,
    block_downsample,
    check_foreground,
    common_spacing,
    ct_tissue_fractions,
    is_ct,
)
from SlicerSynthReg.registration.deformable import (
    DeformableConfig,
    register_deformable,
    scale_regularisation,
    warp_feature_image,
    weighted_correlation,
)
from SlicerSynthReg.registration.demons import DemonsConfig, refine_velocity
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.generic_affine_init import GenericAffineInitConfig, initialise_affine_generic
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.preprocessing import (
    RegistrationImage,
    RegistrationPair,
    foreground_bbox,
    foreground_weight,
    local_contrast,
    normalise_and_resample,
)
from SlicerSynthReg.registration.similarity import Similarity
from SlicerSynthReg.spatial.transform import Affine, Composite, Velocity


@dataclass(frozen=True)
class AnatomyPreset:
    """Settings for one kind of image pair.

    same_modality: compare local contrast and intensity too, and at full resolution. max_voxels: upper limit of the
    comparison. spacing_ratio: voxel size of the comparison, relative to the coarser image's. convex: search whose steps
    and reach are in voxels of the comparison instead of mm. multimodal: Gauss-Newton where only MIND is compared; finer
    levels of two modalities do not show the same detail. deformable: Gauss-Newton where one modality is compared.
    """

    same_modality: bool
    max_voxels: int = 500_000
    spacing_ratio: float = 1.0
    affine_init: GenericAffineInitConfig = field(default_factory=GenericAffineInitConfig)
    convex: ConvexConfig = field(default_factory=lambda: ConvexConfig(levels=((4.0, 12.0), (2.0, 4.0))))
    multimodal: DemonsConfig = field(
        default_factory=lambda: DemonsConfig((4, 2), (12, 12), finest=2, elastic=2.5, fluid=1.0)
    )
    deformable: DeformableConfig = field(default_factory=DeformableConfig)


_SMOOTH = ConvexConfig(levels=((4.0, 12.0),), smooth=2.5)
_SAME_PATIENT = GenericAffineInitConfig(min_improvement=0.15)
_SLIDING = DeformableConfig(same_contrast=DemonsConfig((1,), (10,), finest=2, elastic=0.25, alpha=0.5))
"""For CT: a velocity at twice the voxel size represents breathing motion as well as one at each voxel, at half the
cost. Cortical folds of two brains need the finer one."""
ANATOMY_PRESETS = {
    "ct": AnatomyPreset(True, 6_000_000, 0.8, deformable=_SLIDING),
    "same-modality": AnatomyPreset(True),
    "mr-ct": AnatomyPreset(False, affine_init=_SAME_PATIENT, convex=_SMOOTH),
    "other": AnatomyPreset(False, affine_init=_SAME_PATIENT, convex=_SMOOTH),
}


@dataclass(frozen=True)
class GenericPipelineConfig:
    """Configuration of the generic pipeline.

    anatomy: a key of ANATOMY_PRESETS. similarity: optimised by Adam; None for Gauss-Newton on the channels of the
    preset. regularization: 1 is the default smoothness, higher is smoother. last: whether the last level of
    Gauss-Newton runs. max_voxels: of the fixed image's field of view; the preset's limit applies if it is lower.
    margin: voxels added around the fixed foreground.
    """

    anatomy: str = "other"
    similarity: Similarity | None = None
    regularization: float = 1.0
    refine: bool = True
    affine_only: bool = False
    last: bool = True
    adam: AdamConfig = field(default_factory=AdamConfig)
    max_voxels: int = 6_000_000
    margin: int = 4
    device: str = "cpu"


def register_generic(
    inputs: RegistrationInputs, config: GenericPipelineConfig, progress: Progress = no_progress
) -> PipelineResult:
    """Register the moving to the fixed image of `inputs`.

    inputs: images, masks and initial transform are used; masks restrict the automatic foreground; the affine fitted to
    the initial transform replaces the search and is refined. Raises ImageError if an image has no foreground, or both
    share none (code "no-overlap").
    """
    preset, watch = ANATOMY_PRESETS[config.anatomy], Stopwatch(progress)
    with torch.inference_mode():
        watch.stage("preprocessing", 0.02)
        images, masks = (inputs.fixed, inputs.moving), (inputs.fixed_mask, inputs.moving_mask)
        max_voxels = min(config.max_voxels, preset.max_voxels)
        spacing = common_spacing(inputs.fixed.grid, inputs.moving.grid, max_voxels, preset.spacing_ratio)
        ct = [is_ct(image) for image in images]
        fixed, moving = (
            normalise_and_resample(block_downsample(image, spacing, hounsfield), mask, spacing)
            for image, mask, hounsfield in zip(images, masks, ct)
        )
        for name, image in (("fixed", fixed), ("moving", moving)):
            check_foreground(name, image)
        watch.stage("affine", 0.15)
        tissue = None
        if all(ct):
            tissue = ct_tissue_fractions(images[0], 5 * spacing), ct_tissue_fractions(images[1], 5 * spacing)
        initial = inputs.initial_transform
        matrix, warnings = initialise_affine_generic(fixed, moving, tissue, preset.affine_init, initial)
        grid = foreground_bbox(fixed, config.margin * spacing)
        f_image, m_image = (
            RegistrationImage(image.image, foreground_weight(image), None)
            for image in (fixed.on(grid), moving.on(grid, matrix))
        )
        _check_common_foreground(f_image, m_image)
        f, m = (FeatureImage(local_contrast(image.image), image.weight, grid) for image in (f_image, m_image))
        velocities: tuple[Velocity, ...] = ()
        if config.refine and not config.affine_only:
            velocities = _estimate_velocities(RegistrationPair(f_image, m_image, grid), preset, config, watch)
        watch.stage("similarity", 0.95)
        before, warped = abs(weighted_correlation(f, m)), m
        for velocity in reversed(velocities):
            warped = warp_feature_image(warped, velocity)
        transform = Composite((*velocities, Affine(matrix))) if velocities else Affine(matrix)
        after = abs(weighted_correlation(f, warped))
    watch.end()
    return PipelineResult(transform, watch.seconds, before, after, warnings)


def _check_common_foreground(fixed: RegistrationImage, moving: RegistrationImage) -> None:
    if float((fixed.weight * moving.weight).sum()) < MIN_FOREGROUND_VOXELS:
        raise ImageError(
            "Found no common foreground of both images, expected images of the same part of the body. Initialise from "
            "landmarks or an initial transform, or check the masks and both headers.",
            code="no-overlap",
        )


def _estimate_velocities(
    pair: RegistrationPair, preset: AnatomyPreset, config: GenericPipelineConfig, watch: Stopwatch
) -> tuple[Velocity, Velocity]:
    """Return the velocity of the refinement, and that of the search, which is applied after it.

    They stay separate, so that the smoothing of the refinement does not undo the displacements that the search found.
    """
    pair = pair.to(config.device)
    fixed, moving, grid = pair.fixed, pair.moving, pair.grid
    watch.stage("convex search", 0.3)
    voxel = float(grid.spacing[0])
    f, m = (FeatureImage(_search_features(side, preset), side.weight, grid).pooled(2) for side in (fixed, moving))
    levels = tuple((step * voxel, reach * voxel) for step, reach in preset.convex.levels)
    smooth = preset.convex.smooth * config.regularization**0.5
    search = dataclasses.replace(preset.convex, levels=levels, smooth=smooth)
    v = convex_search(f, m, search, None, lambda done: watch.progress(0.3 + 0.2 * done, "convex search"))
    coarse = Velocity(v, grid.downsampled(2))
    image = warp_feature_image(FeatureImage(moving.image[None], moving.weight, grid), coarse)
    moving = RegistrationImage(image.values[0], image.weight, None)
    watch.stage("refinement", 0.5)
    v = _refine(dataclasses.replace(pair, moving=moving), preset, config, watch)
    fine = Velocity(v.cpu(), grid.downsampled(grid.shape[0] // v.shape[1]))
    return fine, Velocity(coarse.v_vox.cpu(), coarse.grid)


def _refine(
    pair: RegistrationPair, preset: AnatomyPreset, config: GenericPipelineConfig, watch: Stopwatch
) -> torch.Tensor:
    """Return the velocity (3, I/f, J/f, K/f) of the refinement, voxels of its own grid."""
    images = pair.fixed, pair.moving

    def report(done: float) -> None:
        watch.progress(0.5 + 0.45 * done, "refinement")

    if config.similarity is not None:
        f, m = (FeatureImage(config.similarity.channels(image.image), image.weight, pair.grid) for image in images)
        adam = dataclasses.replace(config.adam, diffusion=config.adam.diffusion * config.regularization)
        return optimise_velocity(f, m, config.similarity, None, adam, report)
    if preset.same_modality:
        deformable = dataclasses.replace(preset.deformable, last=config.last)
        return register_deformable(pair, None, config.regularization, deformable, report).velocity.v_vox
    f, m = (FeatureImage(mind_ssc(image.image[None, None])[0], image.weight, pair.grid) for image in images)
    return refine_velocity(f, m, None, scale_regularisation(preset.multimodal, config.regularization), report)


def _search_features(image: RegistrationImage, preset: AnatomyPreset) -> torch.Tensor:
    """Return the channels (C, I, J, K) that the convex search compares."""
    mind = mind_ssc(image.image[None, None])[0]
    return torch.cat([mind, local_contrast(image.image)]) if preset.same_modality else mind
