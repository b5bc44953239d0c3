"""Healthy reconstruction: from a head scan to its healthy T1, anomaly map and contralateral side (UNA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.healthy.anomaly_map import anomaly_score, normalised_difference
from SlicerSynthReg.healthy.inpainting import background_mask, fill_void, signal_void_mask
from SlicerSynthReg.healthy.preprocessing import (
    IntensityScale,
    apply_ct_window,
    estimate_intensity_scale,
    extract_brain,
    field_of_view_mask,
    quality_warnings,
    register_mirrored,
    sample_contralateral,
)
from SlicerSynthReg.healthy.una import UNA, UNAOutput
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.preprocessing import PreprocessedImage, normalise_and_resample
from SlicerSynthReg.registration.synthmorph import SynthMorph, load_synthmorph
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.morphology import largest_component
from SlicerSynthReg.spatial.smoothing import box_mean
from SlicerSynthReg.spatial.transform import Affine, Composite, Transform, resample
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.registry import Card
from SlicerSynthReg.weights.selection import registration_card

MARGIN_MM = 12.0
BRAIN_T1 = 0.12
"""The reconstructed brain is where the T1 is brighter, within BRAIN_MARGIN_VOX of the brain mask: a lesion at the
brain's surface may be missing from the mask."""
BRAIN_MARGIN_VOX = 3


@dataclass(frozen=True, eq=False)
class HealthyModel:
    """Networks of the healthy reconstruction. brain_network: recognises the brain; None takes all tissue for brain.
    spacing_mm: voxel size that UNA was trained at."""

    una: UNA
    brain_network: SynthMorph | None
    spacing_mm: float

    @classmethod
    def load(cls, card: Card) -> HealthyModel:
        """Return UNA of `card` with the installed brain network, if any. Raises WeightsError."""
        return cls(load_network(UNA, card), load_synthmorph(registration_card(None)), card.spacing_mm)


@dataclass(frozen=True)
class ReconstructionConfig:
    """modality, mirror: as in HealthyParameters. device: where the networks run."""

    modality: str = "auto"
    mirror: str = "deformable"
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class HealthyMaps:
    """Images on the working grid: around the brain, at the model's spacing.

    t1: healthy T1, white matter at 0.8, 0 outside the brain. difference: between the scan and the T1 in the scan's
    contrast, in SDs. anomaly: `anomaly_score` of it and of the network's probability; 1 in signal voids. error:
    expected absolute error of t1. brain: 1 in the reconstructed brain within the field of view. base, gain: t1 = base +
    gain scan.
    """

    t1: Image
    anomaly: Image
    difference: Image
    error: Image
    brain: Image
    base: Image
    gain: Image


@dataclass(frozen=True, eq=False)
class MirroredScan:
    """The preprocessed scan and its contralateral side, 0..1, on the working grid. transform: from the scan's RAS to
    that of the scan flipped on `source_grid`; None without mirroring. scale: of the intensities."""

    image: Image
    mirrored: Image
    transform: Transform | None
    source_grid: Grid
    scale: IntensityScale


@dataclass(frozen=True, eq=False)
class UNAResult:
    """Result of `run_una`. seconds: of each stage."""

    maps: HealthyMaps
    scan: MirroredScan
    seconds: dict[str, float]
    warnings: tuple[str, ...]


def run_una(
    model: HealthyModel, image: Image, config: ReconstructionConfig, progress: Progress = no_progress
) -> UNAResult:
    """Reconstruct the healthy anatomy of `image`.

    Raises BrainNotFound, and ImageError for an image that is too small.
    """
    watch = Stopwatch(progress)
    network, spacing = model.brain_network, model.spacing_mm
    with torch.inference_mode():
        watch.stage("preprocessing", 0.02)
        windowed, modality, warnings = apply_ct_window(image, config.modality)
        scan = normalise_and_resample(windowed, None, spacing)
        watch.stage("brain extraction", 0.1)
        brain = extract_brain(scan, network, config.device)
        warnings += quality_warnings(image, scan, brain)
        grid = _working_grid(brain, scan.grid, spacing)
        watch.stage("mirror registration", 0.2)
        mirror = None
        if config.mirror != "none":
            mirror = register_mirrored(scan, brain, network, config.mirror, config.device)
        cropped = scan.on(grid)
        mirrored = sample_contralateral(scan.image, scan.grid, mirror, grid)
        watch.stage("reconstruction", 0.75)
        una = model.una.to(config.device)
        output = una(*(values[None, None].to(config.device) for values in (cropped.image, mirrored)))
        watch.stage("anomaly map", 0.92)
        brain = (resample(brain[None], scan.grid, grid)[0] > 0.5).float()
        maps = _maps(output, cropped, mirrored, brain, field_of_view_mask(image, grid), una.config.anomaly_threshold)
        scale = estimate_intensity_scale(windowed, scan, modality)
    watch.end()
    images = [Image(values[None].float().cpu(), grid) for values in (cropped.image, mirrored)]
    prepared = MirroredScan(images[0], images[1], mirror, scan.grid, scale)
    return UNAResult(maps, prepared, watch.seconds, tuple(warnings))


def contralateral_image(result: UNAResult, image: Image, grid: Grid) -> Image | None:
    """Return the contralateral side of the scan `image` on `grid`, in its own intensities; None without mirroring."""
    if result.scan.transform is None:
        return None
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, 2 * result.scan.source_grid.center_mm[0]
    first = Image(image.data[:1].float(), image.grid, name=image.name)
    return first.resampled(grid, Composite((result.scan.transform, Affine(flip))))


def high_resolution_t1(result: UNAResult, image: Image, grid: Grid) -> Image:
    """Return the healthy T1 on a finer grid: base + gain scan, with the scan at its own resolution."""
    fine = result.scan.scale.normalise(image).resampled(grid)
    maps = result.maps
    base, gain, brain = (item.resampled(grid).data for item in (maps.base, maps.gain, maps.brain))
    inside = field_of_view_mask(image, grid)
    return Image((base + gain * fine.data).clamp_min(0) * (brain > 0.5) * inside, grid, name=image.name)


def _working_grid(brain: torch.Tensor, grid: Grid, spacing: float) -> Grid:
    """Return the bounding box of the brain mask with a margin."""
    box = FeatureImage(brain[None], brain, grid).bounding_box(0.5)
    margin = int(np.ceil(MARGIN_MM / spacing))
    return box.cropped((-margin,) * 3, tuple(n + margin for n in box.shape))


def _maps(
    output: UNAOutput,
    scan: PreprocessedImage,
    mirrored: torch.Tensor,
    brain: torch.Tensor,
    field_of_view: torch.Tensor,
    threshold: float,
) -> HealthyMaps:
    """Return the maps; t1, anomaly, difference and brain are 0 outside the brain and outside the field of view."""
    t1 = output.t1[0, 0].cpu().clamp_min(0)
    near_brain = box_mean(brain[None, None], BRAIN_MARGIN_VOX)[0, 0] > 0.02
    inside = largest_component(((t1 > BRAIN_T1) & near_brain) | (brain > 0.5)).float() * field_of_view
    voxel_ml = float(np.prod(scan.grid.spacing)) / 1000
    probability = torch.sigmoid(output.anomaly_logit[0, 0].cpu())
    void = signal_void_mask(scan.image, inside > 0, voxel_ml, probability)
    inside = largest_component((inside > 0) & (~background_mask(scan.image) | void)).float()
    filled = fill_void(t1, scan.image, mirrored, inside > 0, void, signal_void_mask(mirrored, inside > 0, voxel_ml))
    compared = (inside > 0) & ((brain > 0.5) | void)
    difference = normalised_difference(filled, scan.image, compared, void=void)
    values = {
        "t1": filled * inside,
        "anomaly": torch.where(void, 1.0, anomaly_score(difference, probability, threshold)),
        "difference": difference,
        "error": output.log_error[0, 0].cpu().clamp(-7, 1).exp(),
        "brain": inside,
        "base": output.base[0, 0].cpu() + filled - t1,
        "gain": output.gain[0, 0].cpu(),
    }
    return HealthyMaps(**{name: Image(data[None].float().cpu(), scan.grid) for name, data in values.items()})
