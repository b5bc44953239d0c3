"""Preprocessing: normalised images on a common grid, foreground and brain masks, features for the affine stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_fill_holes
from torch.nn import functional as F

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.synthmorph import NetworkFeatures
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import LOW_QUANTILE, robust_maximum, subsample
from SlicerSynthReg.spatial.laplace import laplace_inpaint
from SlicerSynthReg.spatial.morphology import largest_component
from SlicerSynthReg.spatial.smoothing import box_mean, gaussian
from SlicerSynthReg.spatial.transform import Affine, resample

MIN_VOXELS = 8
"""Smallest count along an axis: fewer leave nothing to compare on the coarse grid of the search."""


@dataclass(frozen=True, eq=False)
class PreprocessedImage:
    """image: (I, J, K) in [0, 1] on a RAS-aligned isotropic grid. mask: (I, J, K) in [0, 1], where to compare; None:
    everywhere."""

    image: torch.Tensor
    grid: Grid
    mask: torch.Tensor | None = None

    def on(self, grid: Grid, matrix: np.ndarray | None = None) -> PreprocessedImage:
        """Return the image resampled on `grid` through `matrix` (4x4, RAS mm of `grid` -> RAS mm of this image)."""
        through = None if matrix is None else Affine(matrix)
        image = resample(self.image[None], self.grid, grid, through)[0]
        mask = None if self.mask is None else resample(self.mask[None], self.grid, grid, through)[0]
        return PreprocessedImage(image, grid, mask)

    def within(self, mask: torch.Tensor) -> PreprocessedImage:
        """Return the image restricted to `mask` (I, J, K), 1 inside."""
        return PreprocessedImage(self.image, self.grid, mask if self.mask is None else self.mask * mask)

    def halved(self) -> PreprocessedImage:
        """Return block means at twice the voxel size."""
        mask = None if self.mask is None else F.avg_pool3d(self.mask[None, None], 2)[0, 0]
        return PreprocessedImage(F.avg_pool3d(self.image[None, None], 2)[0, 0], self.grid.downsampled(2), mask)


def normalise_and_resample(volume: Image, mask: Image | None, spacing: float) -> PreprocessedImage:
    """Return `volume` on a RAS-aligned grid of `spacing` mm, intensities scaled robustly to [0, 1], cropped to content.

    Holes of the mask are inpainted, since windows around their neighbours would include them. Finer images are smoothed
    to the target resolution first, against aliasing. Raises ImageError (code "image-small") if the image is too small.
    """
    extent = volume.grid.spacing * volume.grid.shape
    if float(extent.min()) < MIN_VOXELS * spacing:
        raise ImageError(
            f"Found an image of {' x '.join(f'{mm:.0f}' for mm in extent)} mm, expected at least "
            f"{MIN_VOXELS * spacing:.0f} mm along every axis. Choose an image that shows more of the body.",
            code="image-small",
        )
    data = volume.data[:1].float()
    blur = torch.tensor([[max(0.0, spacing / s - 1.0) * 0.5 for s in volume.grid.spacing]])
    grid = volume.grid.aligned_to_ras(spacing)
    smooth = gaussian(data[None], blur)[0] if float(blur.max()) > 0.05 else data
    low = float(torch.quantile(subsample(data.flatten()), LOW_QUANTILE))
    image = resample(smooth - low, volume.grid, grid)[0]  # the outside is air, in CT too
    inside = None if mask is None else resample((mask.data[:1] > 0).float(), mask.grid, grid)[0]
    holes = torch.zeros_like(image, dtype=torch.bool) if inside is None else _mask_holes(inside)
    bright = image[(image > 0) & ~holes]
    high = float(robust_maximum(bright, default=1.0))
    image = laplace_inpaint((image / max(high, 1e-6)).clamp(0.0, 1.0), holes)
    box = FeatureImage(image[None], image, grid).bounding_box(0.06, margin_mm=4.0)
    return PreprocessedImage(image, grid, inside).on(box)


def _mask_holes(mask: torch.Tensor) -> torch.Tensor:
    """Return (I, J, K) bool: the enclosed holes of `mask` (fractions of each voxel), dilated by a voxel."""
    inside = (mask > 0.999).numpy()
    holes = binary_fill_holes(inside) & ~inside
    return torch.from_numpy(binary_dilation(holes, np.ones((3, 3, 3), dtype=bool)) if holes.any() else holes)


@dataclass(frozen=True, eq=False)
class RegistrationImage:
    """image: (I, J, K) in [0, 1]. weight: (I, J, K) in [0, 1], of each voxel in the comparison. structures:
    (L, I, J, K) probabilities, or None."""

    image: torch.Tensor
    weight: torch.Tensor
    structures: torch.Tensor | None

    def to(self, device: str) -> RegistrationImage:
        """Return the tensors on `device`."""
        structures = None if self.structures is None else self.structures.to(device)
        return RegistrationImage(self.image.to(device), self.weight.to(device), structures)

    def through(self, matrix: np.ndarray, grid: Grid) -> RegistrationImage:
        """Return the image, which lies on `grid`, resampled on it through `matrix` (4x4, RAS mm)."""

        def resampled(values: torch.Tensor) -> torch.Tensor:
            return resample(values, grid, grid, Affine(matrix), padding="border")

        structures = None if self.structures is None else resampled(self.structures)
        return RegistrationImage(resampled(self.image[None])[0], resampled(self.weight[None])[0], structures)


@dataclass(frozen=True, eq=False)
class RegistrationPair:
    """Fixed and moving image on one grid, whose counts divide by 8."""

    fixed: RegistrationImage
    moving: RegistrationImage
    grid: Grid

    def to(self, device: str) -> RegistrationPair:
        """Return the tensors on `device`."""
        return RegistrationPair(self.fixed.to(device), self.moving.to(device), self.grid)


@dataclass(frozen=True, eq=False)
class AffineFeatures:
    """Features of the affine stage. outline: foreground at about 10 mm, for the search. rotatable: outline and absolute
    local contrast at about 4 mm, which rotate with the image, for the first fit. mind: MIND-SSC at about 4 mm, whose
    neighbourhood does not rotate with the image, for the last fit."""

    outline: FeatureImage
    rotatable: FeatureImage
    mind: FeatureImage


def affine_features(image: PreprocessedImage) -> AffineFeatures:
    """Return the features of the affine stage."""
    filled = filled_foreground(image)
    holes = filled - foreground_weight(image)
    outline = FeatureImage(filled[None], 1 - holes, image.grid).pooled(5)
    half = image.halved()
    texture = gaussian(local_contrast(half.image, (2, 4)).abs()[None], 1.0)[0]
    shape, excluded = (F.avg_pool3d(item[None, None], 2)[0] for item in (filled, holes))
    weight = (shape[0] * 0.8 + 0.2) * (1 - excluded[0])
    rotatable = FeatureImage(torch.cat([shape * 2, texture]), weight, half.grid)
    return AffineFeatures(outline, rotatable, mind_features(image))


def mind_features(image: PreprocessedImage) -> FeatureImage:
    """Return MIND-SSC at twice the voxel size, weighted by the foreground."""
    half = image.halved()
    return FeatureImage(mind_ssc(half.image[None, None])[0], foreground_weight(half), half.grid)


def foreground_weight(image: PreprocessedImage) -> torch.Tensor:
    """Return (I, J, K) in [0, 1]: the automatic foreground, within the mask if there is one."""
    return foreground_mask(image.image) if image.mask is None else foreground_mask(image.image) * image.mask


def filled_foreground(image: PreprocessedImage) -> torch.Tensor:
    """Return `foreground_weight` with the holes of the mask filled: (I, J, K)."""
    if image.mask is None:
        return foreground_weight(image)
    filled = torch.from_numpy(binary_fill_holes((image.mask > 0.5).numpy())).to(image.mask)
    return foreground_mask(image.image) * torch.maximum(image.mask, filled)


def foreground_bbox(image: PreprocessedImage, margin_mm: float) -> Grid:
    """Return the bounding box of the foreground and a margin, padded to counts divisible by 8, which all levels pool
    evenly; it may reach beyond the image."""
    weight = foreground_weight(image)
    box = FeatureImage(weight[None], weight, image.grid).bounding_box(0.3, margin_mm)
    padded = box.padded_to_multiple(8)
    half = tuple((p - b) // 2 for p, b in zip(padded.shape, box.shape))
    return box.cropped(tuple(-h for h in half), tuple(p - h for p, h in zip(padded.shape, half)))


def brain_mask(features: NetworkFeatures, grid: Grid) -> torch.Tensor | None:
    """Return (I, J, K): 1 in the largest component of the network's foreground above 0.5, dilated by a voxel.

    None if its volume is not 0.3 to 2.5 litres, so that other anatomy is not registered by a false segmentation.
    """
    if features.foreground is None:
        return None
    brain = largest_component(features.foreground > 0.5)
    if not 0.3 <= int(brain.sum()) * float(np.prod(grid.spacing)) / 1e6 <= 2.5:
        return None
    return (box_mean(brain.float()[None, None], 1)[0, 0] > 0.05).float()


def foreground_mask(image: torch.Tensor) -> torch.Tensor:
    """Return (I, J, K) in [0, 1]: the fraction of neighbours brighter than air, the automatic foreground."""
    return box_mean((image > 0.08).float()[None, None], 2)[0, 0]


def local_contrast(image: torch.Tensor, radii: tuple[int, ...] = (3, 6)) -> torch.Tensor:
    """Return (len(radii), I, J, K): (intensity - local mean) / local SD in windows of 2 r + 1 voxels.

    Squared differences of such images are local normalised cross-correlation (2 - 2 NCC).
    """
    stack = torch.stack([image, image * image])[None]
    scales = []
    for radius in radii:
        mean, square = box_mean(stack, radius)[0]
        scales.append((image - mean) / (square - mean * mean).clamp_min(0).sqrt().add(0.02))
    return torch.stack(scales)
