"""Corresponding slices of several subjects, roughly aligned, from which episodes are made.

Plane, position and pixel size are common to all subjects; each subject has its own misalignment and a small elastic
warp. A slab of adjacent slices is extracted, so that a task may show the slices above and below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.spatial.grid import affine_lattice
from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.deformation import warp_labels


@dataclass(frozen=True)
class SliceConfig:
    """size: edge length in pixels. depth: slices of the slab, odd. pixel_size: range, in voxels of the maps. position:
    range of the slab's position across the plane, as share of the brain's extent; off_centre: range of its position
    within the plane, for fields of view smaller than the brain. rotation_degrees, shift_vox, scale: bounds of the
    residual misalignment. warp_vox: SD of the elastic warp at 1:warp_resolution. flip_probability: of mirroring all
    subjects."""

    size: int = 96
    depth: int = 3
    pixel_size: tuple[float, float] = (0.9, 2.1)
    position: tuple[float, float] = (0.12, 0.88)
    off_centre: float = 0.3
    rotation_degrees: float = 8.0
    shift_vox: float = 4.0
    scale: float = 0.06
    warp_vox: float = 3.0
    warp_resolution: int = 24
    flip_probability: float = 0.5


@dataclass(frozen=True)
class SubjectDraw:
    """subject: index of the label map. angles: degrees about each axis; shift: voxels; scale: relative, by axis."""

    subject: int
    angles: tuple[float, float, float]
    shift: tuple[float, float, float]
    scale: tuple[float, float, float]
    warp_sd: float
    warp_seed: int


@dataclass(frozen=True)
class SlabDraw:
    """plane: axis across the slices. centre: position of the slab's centre, as share of the brain's extent by axis."""

    plane: int
    centre: tuple[float, float, float]
    pixel_size: float
    flip: bool
    size: int
    depth: int
    warp_resolution: int
    subjects: tuple[SubjectDraw, ...]


def draw_slab(config: SliceConfig, subjects: int, available: int, generator: torch.Generator) -> SlabDraw:
    """Draw a slab through `subjects` of the `available` label maps, the target first.

    The target's map is among the examples only if there is no other; other maps repeat once all have been used.
    """
    plane = draw.integer(generator, 0, 2)
    pixel = draw.log_uniform(generator, *config.pixel_size)
    smallest, largest = config.pixel_size
    half = 0.5 * config.off_centre * max(0.0, largest - pixel) / max(1e-6, largest - smallest)
    centre = [draw.uniform(generator, 0.5 - half, 0.5 + half) for _ in range(3)]
    centre[plane] = draw.uniform(generator, *config.position)
    target, *others = torch.randperm(available, generator=generator).tolist()
    others = others or [target]
    order = [target, *(others[n % len(others)] for n in range(subjects - 1))]
    return SlabDraw(
        plane,
        (centre[0], centre[1], centre[2]),
        pixel,
        draw.chance(generator, config.flip_probability),
        config.size,
        config.depth,
        config.warp_resolution,
        tuple(_draw_subject(config, n, generator) for n in order),
    )


def _draw_subject(config: SliceConfig, subject: int, generator: torch.Generator) -> SubjectDraw:
    def three(bound: float) -> tuple[float, float, float]:
        a, b, c = (draw.uniform(generator, -bound, bound) for _ in range(3))
        return a, b, c

    return SubjectDraw(
        subject,
        three(config.rotation_degrees),
        three(config.shift_vox),
        three(config.scale),
        draw.uniform(generator, 0.0, config.warp_vox),
        draw.seed(generator),
    )


@dataclass(frozen=True)
class BrainBox:
    """Bounding box of the brain in a map: low and high voxel index by axis. mean_size: over all maps, to which they are
    scaled."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    mean_size: tuple[float, float, float]


def brain_boxes(maps: Sequence[torch.Tensor], brain: torch.Tensor) -> list[BrainBox]:
    """Return the boxes of the label indices for which `brain` (L,) is true, in maps (I, J, K) uint8."""
    boxes = []
    for labels in maps:
        inside = brain[labels.long()].nonzero()
        boxes.append((inside.min(0).values.float(), inside.max(0).values.float()))
    mean_size = torch.stack([high - low for low, high in boxes]).mean(0).tolist()
    return [BrainBox(tuple(low.tolist()), tuple(high.tolist()), tuple(mean_size)) for low, high in boxes]


def slab_index(record: SlabDraw, subject: SubjectDraw, box: BrainBox) -> torch.Tensor:
    """Return the voxel indices (3, depth, size, size) of the slab in the subject's map.

    Rows and columns of the slab run along the map's other two axes, in their order.
    """
    rows, columns = (axis for axis in range(3) if axis != record.plane)
    onto = np.zeros((3, 3))
    onto[record.plane, 0] = 1.0
    onto[rows, 1] = onto[columns, 2] = record.pixel_size
    low, high, mean_size = (np.array(values) for values in (box.low, box.high, box.mean_size))
    fit = np.diag((high - low) / mean_size * (1 + np.array(subject.scale)))
    if record.flip:
        fit[0] *= -1
    linear = _rotation(subject.angles) @ fit @ onto
    share = np.array(record.centre)
    if record.flip:
        share[0] = 1 - share[0]
    middle = low + share * (high - low) + np.array(subject.shift)
    shape = (record.depth, record.size, record.size)
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = middle - linear @ ((np.array(shape) - 1) / 2)
    index = affine_lattice(matrix, shape)
    coarse = draw.coarse_shape(shape[1:], record.warp_resolution)
    noise = draw.noise([subject.warp_seed], (3, 1, *coarse))
    return index + subject.warp_sd * resize(noise, shape)[0]


def _rotation(angles: tuple[float, float, float]) -> np.ndarray:
    rotation = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        a, b = [other for other in range(3) if other != axis]
        plane_rotation = np.eye(3)
        plane_rotation[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        rotation = rotation @ plane_rotation
    return rotation


def slab_labels(record: SlabDraw, maps: Sequence[torch.Tensor], boxes: Sequence[BrainBox]) -> torch.Tensor:
    """Return the label indices (M, depth, size, size) uint8 of the subjects of `record`, in order."""
    slabs = [
        warp_labels(maps[subject.subject][None], slab_index(record, subject, boxes[subject.subject])[None])
        for subject in record.subjects
    ]
    return torch.cat(slabs)
