"""The deformable stage: Gauss-Newton on several feature channels, coarse to fine.

Compared are local contrast, where it agrees between both images; MIND-SSC, which does not depend on the contrast; and
the structure probabilities of a network, which separate tissues that one of the two contrasts shows alike. If the
coarsely aligned images show the same contrast, local contrast and intensity decide the last level, and a further level
at half the voxel size if the images are that fine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.registration.demons import DemonsConfig, refine_velocity
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.preprocessing import RegistrationImage, RegistrationPair, local_contrast
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.intensity import subsample
from SlicerSynthReg.spatial.sampling import sample_displaced
from SlicerSynthReg.spatial.smoothing import box_mean
from SlicerSynthReg.spatial.transform import Velocity


@dataclass(frozen=True)
class DeformableConfig:
    """Configuration of the deformable stage.

    coarse: first levels, on all channels. same_contrast, other_contrast: last level, by whether both coarsely aligned
    images show the same contrast: `bright_correlation` above `min_bright_correlation` (T1 of two subjects: 0.48
    to 0.61; T1 and FLAIR: 0.10 to 0.27), and a 10th percentile of the local correlation above `min_percentile_ncc` (T1:
    0.27 to 0.36; two arbitrary contrasts whose brighter halves correlate: -0.09). last: whether the last level runs.
    mind, structures: weights of these channels relative to local contrast. Local contrast has full weight if the global
    correlation reaches `min_global_ncc` (real pairs: 0.18 to 0.37); below `max_uncertain_ncc` (arbitrary contrasts: at
    most 0.11) only where the local correlation reaches `min_local_ncc`. intensity: weight of the intensity channel in
    images of the same contrast. finest: the level at half the voxel size.
    """

    coarse: DemonsConfig = field(default_factory=lambda: DemonsConfig((4, 2), (10, 10), finest=2, elastic=0.7))
    same_contrast: DemonsConfig = field(default_factory=lambda: DemonsConfig((1,), (14,), elastic=0.5))
    other_contrast: DemonsConfig = field(default_factory=lambda: DemonsConfig((1,), (8,), elastic=0.8))
    finest: DemonsConfig = field(default_factory=lambda: DemonsConfig((1,), (6,), elastic=0.5))
    last: bool = True
    min_bright_correlation: float = 0.4
    min_percentile_ncc: float = 0.15
    min_global_ncc: float = 0.15
    min_local_ncc: float = 0.03
    max_uncertain_ncc: float = 0.12
    mind: float = 0.7
    structures: float = 1.0
    intensity: float = 0.7


@dataclass(frozen=True, eq=False)
class DeformableResult:
    """velocity: on the grid of the pair, or a coarser one. same_contrast: whether both images show the same
    contrast."""

    velocity: Velocity
    same_contrast: bool


def register_deformable(
    pair: RegistrationPair,
    start: torch.Tensor | None,
    regularization: float,
    config: DeformableConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> DeformableResult:
    """Estimate the velocity whose flow maps the fixed to the moving image.

    pair: on a grid whose counts divide by 8. start: velocity (3, I/f, J/f, K/f) in voxels of its own grid, or None.
    regularization: 1 is the default smoothness.
    """
    fixed, moving, grid = pair.fixed, pair.moving, pair.grid
    channels = _Channels.of(pair, config)
    f, m = channels.all(contrast_weight(channels.fixed_contrast, channels.moving_contrast, config))
    coarse = scale_regularisation(config.coarse, regularization)
    v = refine_velocity(f, m, start, coarse, lambda done: progress(0.4 * done))
    velocity = Velocity(v, grid.downsampled(coarse.finest))
    if not config.last:
        return DeformableResult(velocity, False)
    stack = torch.cat([moving.image[None], channels.moving_contrast.values])
    warped = warp_feature_image(FeatureImage(stack, moving.weight, grid), velocity)
    warped_contrast = FeatureImage(warped.values[1:], warped.weight, grid)
    same_contrast = (
        bright_correlation(fixed.image, warped.values[0], fixed.weight * warped.weight) > config.min_bright_correlation
        and percentile_10(local_correlation(channels.fixed_contrast, warped_contrast), fixed.weight)
        > config.min_percentile_ncc
    )
    if same_contrast:
        last, (f, m) = config.same_contrast, _intensity_features(pair, config)
    else:
        last = config.other_contrast
        f, m = channels.all(contrast_weight(channels.fixed_contrast, warped_contrast, config))
    v = refine_velocity(f, m, v, scale_regularisation(last, regularization), lambda done: progress(0.4 + 0.6 * done))
    return DeformableResult(Velocity(v, grid.downsampled(last.finest)), same_contrast)


def refine_finest_level(
    pair: RegistrationPair,
    start: torch.Tensor,
    regularization: float,
    config: DeformableConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> Velocity:
    """Refine `start` (3, I/2, J/2, K/2), voxels of its own grid, on a pair of the same contrast at half the voxel
    size."""
    f, m = _intensity_features(pair, config)
    v = refine_velocity(f, m, start, scale_regularisation(config.finest, regularization), progress)
    return Velocity(v, pair.grid.downsampled(config.finest.finest))


@dataclass(frozen=True, eq=False)
class _Channels:
    """Local contrast of both images, and their other channels."""

    fixed_contrast: FeatureImage
    moving_contrast: FeatureImage
    others: tuple[list[torch.Tensor], list[torch.Tensor]]

    @classmethod
    def of(cls, pair: RegistrationPair, config: DeformableConfig) -> _Channels:
        images = pair.fixed, pair.moving
        contrast = [FeatureImage(local_contrast(image.image), image.weight, pair.grid) for image in images]
        mind = [mind_ssc(image.image[None, None])[0] * config.mind for image in images]
        structures = [[] if image.structures is None else [image.structures * config.structures] for image in images]
        return cls(contrast[0], contrast[1], ([mind[0], *structures[0]], [mind[1], *structures[1]]))

    def all(self, weight: torch.Tensor) -> list[FeatureImage]:
        """Return all channels of the fixed and the moving image, local contrast multiplied by `weight` (I, J, K)."""
        return [
            FeatureImage(torch.cat([contrast.values * weight, *others]), contrast.weight, contrast.grid)
            for contrast, others in zip((self.fixed_contrast, self.moving_contrast), self.others)
        ]


def _intensity_features(pair: RegistrationPair, config: DeformableConfig) -> list[FeatureImage]:
    """Return local contrast and intensity of both images."""
    return [
        FeatureImage(add_intensity_channel(local_contrast(side.image), side, config), side.weight, pair.grid)
        for side in (pair.fixed, pair.moving)
    ]


def add_intensity_channel(contrast: torch.Tensor, image: RegistrationImage, config: DeformableConfig) -> torch.Tensor:
    """Return `contrast` (C, I, J, K) and the z-score of the intensity over the foreground as a further channel.

    In homogeneous tissue, local contrast is that of the noise.
    """
    inside = image.image[image.weight > 0.5]
    sd, mean = torch.std_mean(inside) if len(inside) > 1 else (image.image.new_ones(()), image.image.new_zeros(()))
    z_score = ((image.image - mean) / (sd + 0.02)).clamp(-4, 4)
    return torch.cat([contrast, config.intensity * z_score[None]])


def contrast_weight(fixed: FeatureImage, moving: FeatureImage, config: DeformableConfig) -> torch.Tensor:
    """Return (I, J, K) the weight of local contrast, 0 to 1, from its global and its local correlation.

    It is 0 where one image is the negative of the other: T1 and T2 are inside the brain, but not at its outline, and of
    two arbitrary contrasts some tissues agree and others are inverted. Mean Dice of three such pairs was 0.48 by the
    global correlation alone, 0.60 by both and 0.62 without local contrast. Two images that agree globally agree less in
    neck and scalp; these keep the full weight.
    """
    whole = max(0.0, weighted_correlation(fixed, moving))
    certain = min(
        1.0, max(0.0, (whole - config.max_uncertain_ncc) / (config.min_global_ncc - config.max_uncertain_ncc))
    )
    local = (local_correlation(fixed, moving) / config.min_local_ncc).clamp(0, 1)
    return min(1.0, whole / config.min_global_ncc) * local.clamp_min(certain)


def local_correlation(a: FeatureImage, b: FeatureImage, radius: int = 6) -> torch.Tensor:
    """Return (I, J, K) `weighted_correlation` in triangular windows of about 4 `radius` voxels."""
    weight = a.weight * b.weight
    sums = [
        box_mean(box_mean(((x * y).sum(0) * weight)[None, None], radius), radius)[0, 0]
        for x, y in ((a.values, b.values), (a.values, a.values), (b.values, b.values))
    ]
    return sums[0] / ((sums[1] * sums[2]).clamp_min(0).sqrt() + 1e-6)


def percentile_10(values: torch.Tensor, weight: torch.Tensor) -> float:
    """Return the 10th percentile of `values` over the foreground, 0 without one."""
    inside = values[weight > 0.5]
    return float(torch.quantile(subsample(inside, 100_000, at_least=True), 0.1)) if len(inside) else 0.0


def scale_regularisation(config: DemonsConfig, regularization: float) -> DemonsConfig:
    """Scale the elastic smoothing. Diffusion time is proportional to the weight, so the SD grows with its root."""
    return dataclasses.replace(config, elastic=config.elastic * regularization**0.5)


def warp_feature_image(moving: FeatureImage, velocity: Velocity) -> FeatureImage:
    """Return `moving` resampled through the flow of `velocity`, on its own grid."""
    dense = velocity.on(moving.grid).u_vox[None]
    stack = torch.cat([moving.values, moving.weight[None]])[None]
    warped = sample_displaced(stack, dense, index_lattice(moving.grid.shape, dense.device))[0]
    return FeatureImage(warped[:-1], warped[-1], moving.grid)


def bright_correlation(fixed: torch.Tensor, warped: torch.Tensor, weight: torch.Tensor) -> float:
    """Return the correlation of intensities (I, J, K) over the brighter half of the foreground of either image, the
    lower of both.

    Fluid is dark in most contrasts, so that over the whole brain even T1 and FLAIR correlate by 0.6.
    """
    inside = weight > 0.5
    if int(inside.sum()) < 100:
        return 0.0
    f, m = fixed[inside], warped[inside]
    both = torch.stack([f, m])
    correlations = [float(torch.corrcoef(both[:, bright])[0, 1]) for bright in (f > f.median(), m > m.median())]
    return min(0.0 if np.isnan(c) else c for c in correlations)


def weighted_correlation(a: FeatureImage, b: FeatureImage) -> float:
    """Return the weighted uncentred correlation of two feature images: 1 for equal ones."""
    weight = a.weight * b.weight
    product, aa, bb = (
        float(((x * y).sum(0) * weight).sum()) for x, y in ((a.values, b.values), (a.values, a.values), (b.values,) * 2)
    )
    return product / ((aa * bb) ** 0.5 + 1e-6)
