"""Preprocessing of a head scan for UNA: intensity scale, brain mask, contralateral side, quality warnings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes
from torch.nn import functional as F

from SlicerSynthReg.errors import BrainNotFound
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, network_features, register_brains
from SlicerSynthReg.registration.deformable import DeformableConfig
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.preprocessing import PreprocessedImage, brain_mask
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import subsample
from SlicerSynthReg.spatial.smoothing import box_mean
from SlicerSynthReg.spatial.transform import Affine, Transform, resample
from SlicerSynthReg.synthesis.modality import BRAIN_WINDOW_HU

CT_AIR_HU, METAL_HU = -500.0, 3000.0
THICK_SLICES_MM = 4.0
MAX_BRAIN_ML = 2200.0
"""Of a brain and the voxel around it that `brain_mask` adds."""


@dataclass(frozen=True)
class IntensityScale:
    """low, high: intensities of the scan that map to 0 and 1. modality: "mr" or "ct" (clipped to the brain window)."""

    low: float
    high: float
    modality: str

    def normalise(self, image: Image) -> Image:
        """Return the first channel of `image` in 0..1."""
        data = image.data[:1].float()
        if self.modality == "ct":
            data = data.clamp(*BRAIN_WINDOW_HU)
        return Image(((data - self.low) / max(self.high - self.low, 1e-6)).clamp(0, 1), image.grid, name=image.name)


def apply_ct_window(scan: Image, modality: str) -> tuple[Image, str, list[str]]:
    """Return the first channel of `scan`, CT clipped to the brain window, its modality ("mr" or "ct") and warnings.

    modality: "mr", "ct", or "auto" (CT where there are intensities of air below CT_AIR_HU).
    """
    data = scan.data[:1].float()
    ct = modality == "ct" or (modality == "auto" and float(data.min()) < CT_AIR_HU)
    if not ct:
        return Image(data, scan.grid, name=scan.name), "mr", []
    warnings = []
    if float((data > METAL_HU).float().mean()) > 1e-5:
        warnings.append("Metal was found in the CT: streaks near it may be marked as anomalies, or hide them.")
    return Image(data.clamp(*BRAIN_WINDOW_HU), scan.grid, name=scan.name), "ct", warnings


def extract_brain(scan: PreprocessedImage, network: SynthMorph | None, device: str) -> torch.Tensor:
    """Return the brain mask (I, J, K), 1 inside, holes filled.

    network: recognises the brain; None takes all tissue for brain. Raises BrainNotFound.
    """
    if network is None:
        tissue = box_mean((scan.image > 0.08).float()[None, None], 2)[0, 0] > 0.5
        return torch.from_numpy(binary_fill_holes(tissue.numpy())).float()
    features = network_features(network.to(device), scan, device)
    mask = brain_mask(features, scan.grid)
    if mask is None:
        raise BrainNotFound(
            "Found no brain in the scan, expected a head of 0.3 to 2.5 litres of brain. Check that the scan shows a "
            "brain, and that its header states the true voxel size and orientation."
        )
    return torch.from_numpy(binary_fill_holes(mask.numpy())).float()


def quality_warnings(scan: Image, preprocessed: PreprocessedImage, brain: torch.Tensor) -> list[str]:
    """Return warnings about slice thickness, brain volume and field of view. brain: on the grid of `preprocessed`."""
    warnings = []
    ml = float(brain.sum()) * float(np.prod(preprocessed.grid.spacing)) / 1000
    if float(scan.grid.spacing.max()) > THICK_SLICES_MM:
        warnings.append(
            f"The slices are {scan.grid.spacing.max():.1f} mm apart: between them the reconstruction is interpolated."
        )
    if ml > MAX_BRAIN_ML:
        warnings.append(
            f"The brain mask ({ml:.0f} ml) is larger than a brain: ignore what is shown outside of the brain."
        )
    inside = F.pad(field_of_view_mask(scan, preprocessed.grid), (1,) * 6)
    rim = F.avg_pool3d(inside[None, None], 3, 1)[0, 0] < 0.999
    if float((brain * rim).sum()) > 0.01 * float(brain.sum()):
        warnings.append(
            f"The brain reaches the edge of the scan ({ml:.0f} ml are inside): nothing is reconstructed beyond it."
        )
    return warnings


def field_of_view_mask(scan: Image, grid: Grid) -> torch.Tensor:
    """Return (I, J, K) on `grid`: 1 inside the field of view of `scan`, 0 outside."""
    return resample(torch.ones(1, *scan.grid.shape), scan.grid, grid, mode="nearest")[0]


def register_mirrored(
    scan: PreprocessedImage, brain: torch.Tensor, network: SynthMorph | None, mirror: str, device: str
) -> Transform:
    """Register the scan to itself, flipped along the first axis of its grid; start with the brains' centroids aligned.

    brain: mask on the scan's grid. mirror: "deformable" or "affine".
    """
    fixed, flipped = (Image(values[None], scan.grid) for values in (scan.image, scan.image.flip(0)))
    mask, mask_flipped = (Image(values[None], scan.grid) for values in (brain, brain.flip(0)))
    centroids = [FeatureImage(m.data, m.data[0], scan.grid).centroid_mm() for m in (mask, mask_flipped)]
    initial = np.eye(4)
    initial[:3, 3] = centroids[1] - centroids[0]
    inputs = RegistrationInputs(
        fixed, flipped, fixed_mask=mask, moving_mask=mask_flipped, initial_transform=Affine(initial)
    )
    config = BrainPipelineConfig(
        spacing_mm=float(scan.grid.spacing[0]),
        regularization=2.0,
        network=False,
        affine_only=mirror == "affine",
        deformable=DeformableConfig(last=False),
        device=device,
    )
    return register_brains(inputs, config, network).transform


def sample_contralateral(image: torch.Tensor, source: Grid, mirror: Transform | None, grid: Grid) -> torch.Tensor:
    """Return the contralateral side (I, J, K) on `grid` of an image on the scan's grid `source`.

    0 outside the field of view, and everywhere without `mirror` (scan RAS -> flipped scan RAS).
    """
    if mirror is None:
        return torch.zeros(grid.shape)
    return resample(image.flip(0)[None], source, grid, mirror)[0]


def estimate_intensity_scale(scan: Image, preprocessed: PreprocessedImage, modality: str) -> IntensityScale:
    """Return the intensities of `scan` that became 0 and 1: least-squares line through voxels that were not clipped."""
    raw = scan.resampled(preprocessed.grid).data[0]
    unclipped = (preprocessed.image > 0.1) & (preprocessed.image < 0.9)
    x, y = preprocessed.image[unclipped].double(), raw[unclipped].double()
    if len(x) < 100:
        return IntensityScale(float(scan.data.min()), float(scan.data.max()), modality)
    slope, low = np.polyfit(subsample(x, 200_000).numpy(), subsample(y, 200_000).numpy(), 1)
    return IntensityScale(float(low), float(low + slope), modality)
