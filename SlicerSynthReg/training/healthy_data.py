"""Training data of UNA: label maps with mirror maps, lesion masks, and real T1 scans.

A mirror map assigns each voxel of a head its contralateral counterpart. It is computed once before a training, by
registration of each label map (or segmented scan) with its own mirror image.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes
from torch.nn import functional as F

from SlicerSynthReg.errors import ImageError, WeightsError
from SlicerSynthReg.io.files import image_files
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.registration.affine import AffineConfig, fit_affine
from SlicerSynthReg.registration.demons import DemonsConfig, refine_velocity
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import robust_maximum
from SlicerSynthReg.spatial.morphology import largest_component
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.spatial.transform import exponential, resample
from SlicerSynthReg.synthesis.lesion_head import LabelledSubject, LabelProperties, UNASampleConfig
from SlicerSynthReg.synthesis.lesion_scan import WHITE_T1, T1Head
from SlicerSynthReg.synthesis.mirror import Mirror
from SlicerSynthReg.synthesis.tissues import BRAIN_STRUCTURES, STRUCTURES, structure_indices
from SlicerSynthReg.training.healthy import HealthyTrainingData
from SlicerSynthReg.training.label_maps import read_label_maps

LABEL_MAP_MARGIN_VOX = 60
VALIDATION_MASKS = 5
"""Number of lesion masks, the last by name, that are used for validation only."""
BLOCK = 2
"""Voxels of 1 mm, along each axis, in a voxel of the networks and of the mirror registration."""
MIRROR_MARGIN_VOX = 8
MIRROR_DEMONS = DemonsConfig((4, 2), (10, 12), finest=2, elastic=0.8)
SCAN_MARGIN_VOX = 40
BRAIN_LITRES = (0.3, 2.5)
FOREGROUND_FRACTION = 0.02
"""Of the maximum of a scan: intensities above it are foreground."""

SYMMETRY_STRUCTURES = (
    ("white matter",),
    ("cortex",),
    ("ventricles",),
    ("cerebellar white matter", "cerebellar cortex"),
    ("thalamus", "caudate", "putamen", "pallidum"),
    ("brain stem", "hippocampus", "amygdala"),
)
"""Groups of structures that the mirror registration matches."""
_GROUP = {name: n for n, names in enumerate(SYMMETRY_STRUCTURES, start=1) for name in names}


def read_training_data(
    labels: Path, lesions: Path | None, validation_cases: int, samples: UNASampleConfig, cache: Path | None = None
) -> HealthyTrainingData:
    """Read the label maps of a folder, with the mirror map of each, and lesion masks.

    cache: file of the preprocessed label maps; the mirror maps are cached beside it.
    """
    maps = read_label_maps(labels, validation_cases, cache)
    training, validation = maps.split(validation_cases, LABEL_MAP_MARGIN_VOX)
    heads = [*training, *validation]
    mirrors = _mirrors(heads, symmetry_groups(maps.values), cache and cache.with_suffix(".mirrors"))
    subjects = tuple(LabelledSubject(head, mirror) for head, mirror in zip(heads, mirrors))
    masks = read_lesion_masks(lesions, samples.spacing * samples.transport_factor) if lesions else ()
    count = max(0, len(masks) - VALIDATION_MASKS)
    return HealthyTrainingData(
        training=subjects[: len(training)],
        validation=subjects[len(training) :],
        labelling=LabelProperties.from_values(maps.values, maps.groups),
        training_masks=masks[:count] or masks,
        validation_masks=masks[count:],
    )


def _mirrors(heads: list[torch.Tensor], groups: torch.Tensor, cache: Path | None) -> list[Mirror]:
    """Return the mirror map of each label map, from `cache` if it holds those of the same maps."""
    state = [hashlib.blake2b(groups[head.int()].numpy().tobytes(), digest_size=16).hexdigest() for head in heads]
    if cache and cache.exists():
        cached = torch.load(cache, weights_only=True)
        if cached["state"] == state:
            return [Mirror(m.numpy(), u, f, tuple(b)) for m, u, f, b in cached["mirrors"]]
    mirrors = [register_to_mirror_image(head, groups) for head in heads]
    if cache:
        rows = [(torch.from_numpy(m.matrix), m.u, m.factor, list(m.begin)) for m in mirrors]
        torch.save({"state": state, "mirrors": rows}, cache)
    return mirrors


def symmetry_groups(values: tuple[int, ...]) -> torch.Tensor:
    """Return for each label value the number of its group in `SYMMETRY_STRUCTURES`, from 1; 0 for none."""
    names = list(STRUCTURES)
    return torch.tensor([_GROUP.get(names[structure], 0) for structure in structure_indices(values)])


def register_to_mirror_image(labels: torch.Tensor, groups: torch.Tensor) -> Mirror:
    """Return the mirror map of a label map (I, J, K) uint8 in RAS, 1 mm, by affine and demons registration.

    groups: of each label index, the same for left and right; 0: not registered. Beyond the box of the registered
    structures the map continues its values at the box's faces.
    """
    block = BLOCK * max(MIRROR_DEMONS.factors)
    occupied = (groups[labels.int()] > 0).nonzero()
    low, high = occupied.min(0).values - MIRROR_MARGIN_VOX, occupied.max(0).values + 1 + MIRROR_MARGIN_VOX
    high = high + (low - high) % block
    pad = [int(n) for axis in (2, 1, 0) for n in (-low[axis], high[axis] - labels.shape[axis])]
    box = F.pad(labels, pad)
    fixed, moving = (_group_fractions(item, groups) for item in (box, box.flip(0)))
    start = np.eye(4)
    start[:3, 3] = moving.centroid_mm() - fixed.centroid_mm()
    affine = fit_affine(fixed.pooled(2), moving.pooled(2), start, AffineConfig(10, 12, 6000)).matrix
    velocity = refine_velocity(fixed, moving.on(fixed.grid, affine), None, MIRROR_DEMONS)
    factor = BLOCK * MIRROR_DEMONS.finest
    flip, to_map = np.diag([-1.0, 1.0, 1.0, 1.0]), np.eye(4)
    flip[0, 3] = box.shape[0] - 1
    to_map[:3, 3] = low.numpy()
    u = exponential(velocity[None], MIRROR_DEMONS.squarings)[0] * factor
    return Mirror(to_map @ flip @ affine @ np.linalg.inv(to_map), u, factor, tuple(low.tolist()))


def _group_fractions(labels: torch.Tensor, groups: torch.Tensor) -> FeatureImage:
    """Return the fraction of each group in blocks of voxels; millimetres of their grid are voxels of the map."""
    group = groups[labels.int()]
    fractions = [F.avg_pool3d((group == n)[None].float(), BLOCK)[0] for n in range(1, int(groups.max()) + 1)]
    values = torch.stack(fractions)
    affine = np.diag([BLOCK, BLOCK, BLOCK, 1.0])
    affine[:3, 3] = (BLOCK - 1) / 2
    weight = F.max_pool3d(values.sum(0)[None], 5, 1, 2)[0].clamp(0, 1)
    return FeatureImage(values, weight, Grid(tuple(values.shape[1:]), affine))


def read_lesion_masks(folder: Path, spacing: float) -> tuple[torch.Tensor, ...]:
    """Read the masks of a folder as lesion fractions (i, j, k) in voxels of `spacing` mm, each in its bounding box.

    Empty masks are left out. Raises ImageError (lesion-masks-missing).
    """
    masks = []
    for path in image_files(folder):
        image = read_image(path, kind="labels", allow_degenerate=True)
        inside = (image.data[:1] != 0).float()
        if not bool(inside.any()):
            continue
        blur = torch.tensor([[max(0.0, spacing / s - 1) * 0.5 for s in image.grid.spacing]])
        occupied = inside[0].nonzero()
        margin = torch.tensor([int(2 * spacing / s) + 1 for s in image.grid.spacing])
        low, high = occupied.min(0).values - margin, occupied.max(0).values + 1 + margin
        box: Grid = image.grid.cropped(tuple(low.tolist()), tuple(high.tolist()))
        cropped = resample(inside, image.grid, box, mode="nearest")
        grid = box.aligned_to_ras(spacing)
        masks.append(resample(gaussian(cropped[None], blur)[0], box, grid)[0])
    if not masks:
        raise ImageError(
            f"Found no lesion mask in {folder.name}, expected .nii.gz, .nrrd or .mha files.",
            code="lesion-masks-missing",
        )
    return tuple(masks)


def read_t1_scans(folder: Path, lesions: Path | None, network: SynthMorph, device: str = "cpu") -> tuple[T1Head, ...]:
    """Read the T1 scans of a folder.

    lesions: folder of lesion masks with the file names of their scans. network: see `prepare_t1_scan`.
    Raises ImageError (scans-missing, mask-without-scan, not-a-brain).
    """
    scans = image_files(folder)
    if not scans:
        raise ImageError(
            f"Found no scan in {folder.name}, expected T1 of heads as .nii.gz, .nrrd or .mha.", code="scans-missing"
        )
    masks = {path.name: path for path in image_files(lesions)} if lesions else {}
    if unmatched := sorted(masks.keys() - {path.name for path in scans}):
        raise ImageError(
            f"Found lesion masks without a scan of that name ({', '.join(unmatched[:3])}), expected each mask to be "
            "named as its scan.",
            code="mask-without-scan",
        )
    return tuple(
        prepare_t1_scan(
            read_image(path),
            read_image(masks[path.name], "labels", allow_degenerate=True) if path.name in masks else None,
            network,
            device,
        )
        for path in scans
    )


def prepare_t1_scan(scan: Image, lesion: Image | None, network: SynthMorph, device: str = "cpu") -> T1Head:
    """Return a T1 scan at 1 mm with its brain mask and mirror map, white matter scaled to WHITE_T1.

    lesion: mask of the region whose healthy anatomy is unknown, None for a healthy scan. network: segments STRUCTURES
    at 2 mm. Raises ImageError (not-a-brain), WeightsError (no-structures).
    """
    grid = scan.grid.aligned_to_ras(1.0)
    image = resample(scan.data[:1].float() - float(scan.data.min()), scan.grid, grid)[0]
    image = image / robust_maximum(image[image > FOREGROUND_FRACTION * image.max()], default=1.0)
    with torch.inference_mode():
        pooled = F.avg_pool3d(image[None, None].clamp(0, 1), BLOCK).to(device)
        probabilities = network.to(device).features(pooled).structures
    if probabilities is None:
        raise WeightsError(
            "Found a network without structures, expected one such as synthmorph-brains.", code="no-structures"
        )
    structure = probabilities.argmax(0).cpu()
    brain = _brain_mask(torch.isin(structure, _indices(BRAIN_STRUCTURES)), scan.name)
    labels, inside = (_upsample_blocks(item, image.shape) for item in (structure * brain, brain))
    white = image[labels == _indices(("white matter",))].median()
    t1 = gaussian(image[None, None], 0.5 * (BLOCK - 1))[0, 0] * (WHITE_T1 / white)
    fraction = torch.zeros_like(image)
    if lesion is not None:
        fraction = resample((lesion.data[:1] > 0).float(), lesion.grid, grid)[0]
    occupied = inside.nonzero()
    low, high = (occupied.amin(0) - SCAN_MARGIN_VOX).clamp_min(0), occupied.amax(0) + 1 + SCAN_MARGIN_VOX
    box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist()))
    groups = torch.tensor([_GROUP.get(name, 0) for name in STRUCTURES])
    mirror = register_to_mirror_image(labels[box].to(torch.uint8), groups)
    t1, inside, fraction = (item[box].float().clone() for item in (t1, inside, fraction))
    return T1Head(t1, inside, None if lesion is None else fraction, mirror)


def _indices(names: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([list(STRUCTURES).index(name) for name in names])


def _brain_mask(brain: torch.Tensor, name: str) -> torch.Tensor:
    """Return the largest component of a brain segmentation (I, J, K) bool, 2 mm, with holes filled."""
    component = largest_component(brain)
    litres = int(component.sum()) * BLOCK**3 / 1e6
    low, high = BRAIN_LITRES
    if not low <= litres <= high:
        raise ImageError(
            f"Found {litres:.1f} litres of brain in {name or 'a scan'}, expected {low} to {high}. Leave out scans "
            "that are not a T1 of a whole head.",
            code="not-a-brain",
        )
    return torch.from_numpy(binary_fill_holes(component.numpy()))


def _upsample_blocks(values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Repeat each block's value in its voxels, up to `shape`; 0 in voxels at the end that fill no block."""
    for axis in range(3):
        values = values.repeat_interleave(BLOCK, axis)
    return F.pad(values, [n for size, whole in zip(values.shape[::-1], shape[::-1]) for n in (0, whole - size)])
