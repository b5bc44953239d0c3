"""Preparation of images of any anatomy: common voxel size, CT windows and tissue fractions, block downsampling."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.preprocessing import PreprocessedImage, foreground_weight
from SlicerSynthReg.spatial.grid import Grid, as_shape
from SlicerSynthReg.spatial.intensity import subsample
from SlicerSynthReg.spatial.transform import resample

CT_WINDOW = (-1000.0, 600.0)
"""HU range in which CT is compared."""
AIR_HU, BONE_HU = -700.0, 150.0
TISSUE_CLASSES_HU = ((-150.0, -30.0, 1.0), (-30.0, 180.0, 1.0), (180.0, 700.0, 2.0))
"""Fat, soft tissue with and without contrast agent, bone: lower HU, upper HU, weight."""
MIN_FOREGROUND_VOXELS = 200
"""Smallest foreground that can be registered, voxels."""
MIN_MASK_FOREGROUND = 0.1
"""Smallest fraction of a mask that must be foreground."""


def is_ct(volume: Image) -> bool:
    """Return whether the values are Hounsfield units: 2 % of air far below zero, and bone."""
    values = subsample(volume.data[0].flatten(), 200_000, at_least=True).float()
    low, high = float(torch.quantile(values, 0.02)), float(values.max())
    return low < AIR_HU and high > BONE_HU


def common_spacing(fixed: Grid, moving: Grid, max_voxels: int, ratio: float = 1.0) -> float:
    """Return the isotropic voxel size of the comparison, mm: `ratio` times that of the coarser image, but at most
    `max_voxels` in the fixed image's field of view."""
    volumes = [float(abs(np.linalg.det(grid.affine[:3, :3]))) for grid in (fixed, moving)]
    finest = ratio * max(volumes) ** (1 / 3)
    return max(finest, (volumes[0] * fixed.voxel_count / max_voxels) ** (1 / 3))


def block_downsample(volume: Image, spacing: float, ct: bool) -> Image:
    """Return block means along each axis whose voxels are at most half of `spacing`.

    Computed slab by slab, so that a large image is not copied. ct: clip to CT_WINDOW and subtract its lower end, so
    that the outside (0) is air, not water.
    """
    data, grid = volume.data[:1], volume.grid
    low, high = CT_WINDOW if ct else (-np.inf, np.inf)
    zero = low if ct else 0.0
    pool = as_shape(min(n, max(1, int(spacing / s + 1e-6))) for n, s in zip(grid.shape, grid.spacing))
    parts = []
    for slab in data.split(pool[0] * max(1, 32 // pool[0]), dim=1):
        if slab.shape[1] >= pool[0]:
            parts.append(F.avg_pool3d(slab.float().clamp(low, high)[None] - zero, pool)[0])
    affine = grid.affine.copy()
    affine[:3, 3] = grid.index_to_world(np.array([[(p - 1) / 2 for p in pool]]))[0]
    affine[:3, :3] *= pool
    pooled = torch.cat(parts, 1)
    return Image(pooled, Grid(as_shape(pooled.shape[1:]), affine), volume.kind, volume.name)


def ct_tissue_fractions(volume: Image, spacing: float) -> FeatureImage:
    """Return the fractions of fat, soft tissue and bone in blocks of `spacing` mm of a CT, on a RAS-aligned grid.

    weight: 1 in the field of view. Bone has double weight, since it localises best within the body.
    """
    fine = block_downsample(volume, spacing / 2, ct=True)
    grid = fine.grid.aligned_to_ras(spacing / 2)
    samples = resample(torch.cat([fine.data, torch.ones_like(fine.data)]), fine.grid, grid)
    hounsfield = samples[0] + CT_WINDOW[0]
    classes = [weight * ((hounsfield >= low) & (hounsfield < high)) for low, high, weight in TISSUE_CLASSES_HU]
    padded = grid.padded_to_multiple(2)
    padding = [amount for n, g in zip(reversed(grid.shape), reversed(padded.shape)) for amount in (0, g - n)]
    values = F.avg_pool3d(F.pad(torch.stack(classes).float(), padding)[None], 2)[0]
    weight = F.avg_pool3d(F.pad(samples[1:], padding)[None], 2)[0, 0]
    return FeatureImage(values, (weight > 0.5).float(), padded.downsampled(2))


def check_foreground(name: str, image: PreprocessedImage, shown: str = "image") -> None:
    """Raise ImageError if an image has no foreground (codes "mask-outside", "mask-air", "image-empty").

    name: "fixed" or "moving". shown: what remains of it, "image" or "brain".
    """
    within = 0.0 if image.mask is None else float(image.mask.sum())
    if float(foreground_weight(image).sum()) >= max(MIN_FOREGROUND_VOXELS, MIN_MASK_FOREGROUND * within):
        return
    if image.mask is not None and within < MIN_FOREGROUND_VOXELS:
        raise ImageError(
            f"Found a {name} mask that leaves nothing of the {name} {shown}, expected one that lies on it. Check that "
            "the mask was drawn on that image, or leave it out.",
            code="mask-outside",
        )
    if image.mask is not None:
        raise ImageError(
            f"Found a {name} mask that holds nothing but air, expected tissue under it. Invert or redraw it.",
            code="mask-air",
        )
    raise ImageError(
        f"Found hardly anything but background in the {name} image, expected tissue. Check the image, or give a mask "
        "of the region to compare.",
        code="image-empty",
    )
