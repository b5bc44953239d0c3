"""From a raw scan of a head to its anatomy in health: brain, counterpart side, network, detail of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes
from torch.nn import functional as F

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.methods.una.difference import as_anomaly, difference
from SlicerSynthReg.methods.una.model import UNA, Reconstruction
from SlicerSynthReg.methods.una.voids import air_about, filled_void, void_of
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.pieces import largest_piece
from SlicerSynthReg.space.smoothing import box_mean
from SlicerSynthReg.space.transform import Affine, Composite, Transform, resample
from SlicerSynthReg.synth.modality import BRAIN_WINDOW_HU
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align, look
from SlicerSynthReg.tasks.deforming import DeformingConfig
from SlicerSynthReg.tasks.prepare import Scan, anatomy, standardised
from SlicerSynthReg.tasks.stopwatch import Progress, Stopwatch
from SlicerSynthReg.volume.volume import Volume, VolumeError

CT_AIR_HU, METAL_HU = -500.0, 3000.0
MARGIN_MM = 12.0
BRAIN_T1 = 0.12
"""The reconstruction is brain where it is brighter, so near the brain that was recognised ..."""
NEAR_VOX = 3
"""... as this: a lesion at its surface may have been taken for none of it."""
THICK_MM = 4.0
LARGEST_ML = 2200.0
"""Of a brain and the voxel about it that `anatomy` adds."""


@dataclass(frozen=True)
class HealingConfig:
    """modality, mirror: as in HealthyParameters. device: where the networks run."""

    modality: str = "auto"
    mirror: str = "deformable"
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Healed:
    """What was found, as volumes on one grid about the brain at the model's spacing.

    t1: anatomy in health, white matter at 0.8, 0 outside the brain. difference: between the scan and the reconstruction
    in its contrast, in SDs. anomaly: what `as_anomaly` makes of it and of the network's own probability; 1 where the
    brain has no signal. error: expected absolute error of t1. brain: 1 in the reconstructed brain that was scanned.
    scan, mirrored: the scan and its other side, 0..1. base, gain: t1 = base + gain scan. mirror: transform from the
    patient's world to that of the scan flipped on `scan_grid`, None if none was wanted. lit: (low, high) intensities of
    the raw scan that became 0 and 1.
    """

    t1: Volume
    anomaly: Volume
    difference: Volume
    error: Volume
    brain: Volume
    scan: Volume
    mirrored: Volume
    base: Volume
    gain: Volume
    mirror: Transform | None
    scan_grid: Grid
    lit: tuple[float, float]
    modality: str
    seconds: dict[str, float]
    warnings: tuple[str, ...]


def heal(
    una: UNA,
    brains: SynthMorph | None,
    spacing: float,
    volume: Volume,
    config: HealingConfig,
    progress: Progress = lambda share, text: None,
) -> Healed:
    """The healthy anatomy behind `volume`. brains: the network that recognises a brain; None: all tissue is taken for
    one. Errors: VolumeError where no brain is recognised, or the scan is too small."""
    watch = Stopwatch(progress)
    with torch.inference_mode():
        watch.stage("preparing the scan", 0.02)
        shown, modality, warnings = windowed(volume, config.modality)
        scan = standardised(shown, None, spacing)
        watch.stage("looking for the brain", 0.1)
        brain = brain_of(scan, brains, config.device)
        warnings += _about(volume, scan, brain)
        box = Channels(brain[None], brain, scan.grid).bounding_box(0.5)
        margin = int(np.ceil(MARGIN_MM / spacing))
        box = box.cropped((-margin,) * 3, tuple(n + margin for n in box.shape))
        watch.stage("bringing the other side over", 0.2)
        mirror = None if config.mirror == "none" else mirror_of(scan, brain, brains, spacing, config)
        near = scan.on(box)
        other = through_mirror(scan.image, scan.grid, mirror, box)
        watch.stage("reconstruction", 0.75)
        una = una.to(config.device)
        found = una(*(one[None, None].to(config.device) for one in (near.image, other)))
        watch.stage("finishing", 0.92)
        healed = _healed(
            found, near, other, brain_on(brain, scan.grid, box), field_of_view(volume, box), una.config.marked
        )
        lit = scale_of(shown, scan, spacing)
    watch.end()
    return Healed(
        **{name: Volume(values[None].float().cpu(), box) for name, values in healed.items()},
        mirror=mirror,
        scan_grid=scan.grid,
        lit=lit,
        modality=modality,
        seconds=watch.seconds,
        warnings=tuple(warnings),
    )


def windowed(volume: Volume, modality: str) -> tuple[Volume, str, list[str]]:
    """The scan, a CT clipped to the brain's window; what it is; and warnings."""
    data = volume.data[:1].float()
    ct = modality == "ct" or (modality == "auto" and float(data.min()) < CT_AIR_HU)
    if not ct:
        return Volume(data, volume.grid, name=volume.name), "mr", []
    warnings = []
    if float((data > METAL_HU).float().mean()) > 1e-5:
        warnings.append("Metal was found in the CT: streaks near it may be taken for anomalies, or hide them.")
    return Volume(data.clamp(*BRAIN_WINDOW_HU), volume.grid, name=volume.name), "ct", warnings


def brain_of(scan: Scan, brains: SynthMorph | None, device: str) -> torch.Tensor:
    """(I, J, K) 1 in the brain, what it encloses included. VolumeError where none is recognised."""
    if brains is None:
        tissue = box_mean((scan.image > 0.08).float()[None, None], 2)[0, 0] > 0.5
        return torch.from_numpy(binary_fill_holes(tissue.numpy())).float()
    seen = anatomy(look(brains.to(device), scan, AlignmentConfig(device=device)), scan.grid)
    if seen is None:
        raise VolumeError(
            "Found no brain in the scan, expected a head of 0.3 to 2.5 litres of brain. Check that the scan shows a "
            "brain, and that its header says truly how large its voxels are and which way they lie."
        )
    return torch.from_numpy(binary_fill_holes(seen.numpy())).float()


def _about(volume: Volume, scan: Scan, brain: torch.Tensor) -> list[str]:
    """What a user must know of this scan before he looks at the result."""
    warnings = []
    ml = float(brain.sum()) * float(np.prod(scan.grid.spacing)) / 1000
    if float(volume.grid.spacing.max()) > THICK_MM:
        warnings.append(
            f"The slices are {volume.grid.spacing.max():.1f} mm apart: between them the reconstruction is a guess."
        )
    if ml > LARGEST_ML:
        warnings.append(
            f"What was taken for the brain ({ml:.0f} ml) is larger than a brain: pass over what is shown beside the "
            "brain."
        )
    seen = F.pad(field_of_view(volume, scan.grid), (1,) * 6)
    rim = F.avg_pool3d(seen[None, None], 3, 1)[0, 0] < 0.999
    if float((brain * rim).sum()) > 0.01 * float(brain.sum()):
        warnings.append(
            f"The brain reaches the edge of the scan ({ml:.0f} ml are seen): what lies beyond it is left empty."
        )
    return warnings


def field_of_view(volume: Volume, grid: Grid) -> torch.Tensor:
    """(I, J, K) 1 where the scan has voxels, 0 where it has none."""
    return resample(torch.ones(1, *volume.grid.shape), volume.grid, grid, mode="nearest")[0]


def mirror_of(
    scan: Scan, brain: torch.Tensor, brains: SynthMorph | None, spacing: float, config: HealingConfig
) -> Transform:
    """Registration of the scan to itself flipped along its first axis (on its own grid), begun with both brains'
    centres upon each other."""
    fixed, flipped = (Volume(one[None], scan.grid) for one in (scan.image, scan.image.flip(0)))
    mask, mask_flipped = (Volume(one[None], scan.grid) for one in (brain, brain.flip(0)))
    centres = [Channels(m.data, m.data[0], scan.grid).centroid_mm() for m in (mask, mask_flipped)]
    start = np.eye(4)
    start[:3, 3] = centres[1] - centres[0]
    how = AlignmentConfig(
        regularization=2.0,
        network=False,
        affine_only=config.mirror == "affine",
        deforming=DeformingConfig(last=False),
        device=config.device,
    )
    return align(brains, spacing, fixed, flipped, how, mask, mask_flipped, Affine(start)).transform


def through_mirror(image: torch.Tensor, source: Grid, mirror: Transform | None, grid: Grid) -> torch.Tensor:
    """(I, J, K) the other side, on `grid`, of an image on the scan's grid `source`; 0 where it was not scanned, and
    everywhere without a mirror."""
    if mirror is None:
        return torch.zeros(grid.shape)
    return resample(image.flip(0)[None], source, grid, mirror)[0]


def other_side(healed: Healed, volume: Volume, grid: Grid) -> Volume | None:
    """The raw scan's other side on `grid`, in its own intensities; None where it was not brought over."""
    if healed.mirror is None:
        return None
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, 2 * healed.scan_grid.center_mm[0]
    one = Volume(volume.data[:1].float(), volume.grid, name=volume.name)
    return one.resampled(grid, Composite((healed.mirror, Affine(flip))))


def brain_on(brain: torch.Tensor, source: Grid, box: Grid) -> torch.Tensor:
    return (resample(brain[None], source, box)[0] > 0.5).float()


def _healed(
    found: Reconstruction,
    near: Scan,
    other: torch.Tensor,
    brain: torch.Tensor,
    seen: torch.Tensor,
    marked: float,
) -> dict[str, torch.Tensor]:
    """The maps (I, J, K); t1, anomaly, difference and brain are 0 outside the brain and outside what was scanned."""
    drawn = found.t1[0, 0].cpu().clamp_min(0)
    near_brain = box_mean(brain[None, None], NEAR_VOX)[0, 0] > 0.02
    inside = largest_piece(((drawn > BRAIN_T1) & near_brain) | (brain > 0.5)).float() * seen
    ml = float(np.prod(near.grid.spacing)) / 1000
    probability = torch.sigmoid(found.anomaly_logit[0, 0].cpu())
    void = void_of(near.image, inside > 0, ml, probability)
    inside = largest_piece((inside > 0) & (~air_about(near.image) | void)).float()
    t1 = filled_void(drawn, near.image, other, inside > 0, void, void_of(other, inside > 0, ml))
    compared = (inside > 0) & ((brain > 0.5) | void)
    away = difference(t1, near.image, compared, void=void)
    return {
        "t1": t1 * inside,
        "anomaly": torch.where(void, 1.0, as_anomaly(away, probability, marked)),
        "difference": away,
        "error": found.log_error[0, 0].cpu().clamp(-7, 1).exp(),
        "brain": inside,
        "scan": near.image,
        "mirrored": other,
        "base": found.base[0, 0].cpu() + t1 - drawn,
        "gain": found.gain[0, 0].cpu(),
    }


def scale_of(volume: Volume, scan: Scan, spacing: float) -> tuple[float, float]:
    """The raw intensities that became 0 and 1 in `scan`: the line through those that were not clipped."""
    raw = volume.resampled(scan.grid).data[0]
    between = (scan.image > 0.1) & (scan.image < 0.9)
    x, y = scan.image[between].double(), raw[between].double()
    if len(x) < 100:
        return float(volume.data.min()), float(volume.data.max())
    step = 1 + len(x) // 200_000
    slope, low = np.polyfit(x[::step].numpy(), y[::step].numpy(), 1)
    return float(low), float(low + slope)


def detailed(healed: Healed, volume: Volume, grid: Grid) -> Volume:
    """The healthy T1 on a finer grid: base + gain scan, the scan read at its own resolution."""
    low, high = healed.lit
    data = volume.data[:1].float()
    if healed.modality == "ct":
        data = data.clamp(*BRAIN_WINDOW_HU)
    fine = Volume(((data - low) / max(high - low, 1e-6)).clamp(0, 1), volume.grid).resampled(grid)
    base, gain, brain = (one.resampled(grid).data for one in (healed.base, healed.gain, healed.brain))
    seen = field_of_view(volume, grid)
    return Volume((base + gain * fine.data).clamp_min(0) * (brain > 0.5) * seen, grid, name=volume.name)
