"""The same slice through several people, roughly aligned: what a task given by examples is made of.

Drawn is one plane, place and pixel size for all, and for each person how far the alignment is off, and a small elastic
warp. A slab of neighbouring slices is cut, so that a task may show the network what lies above and below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.space.grid import affine_lattice
from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.deform import warp_labels


@dataclass(frozen=True)
class SliceConfig:
    """side: pixels. depth: slices of the slab, odd. pixel: its size in voxels of the maps. place: share of the brain's
    extent across the plane within which slices lie; off_centre: share of it within the plane, for fields of view that
    are smaller than the brain. rotation_degrees, shift_vox, scale: what a rough affine alignment leaves.
    warp_vox: SD of the elastic warp at 1:warp_resolution. flip: chance that all are mirrored left to right."""

    side: int = 96
    depth: int = 3
    pixel: tuple[float, float] = (0.9, 2.1)
    place: tuple[float, float] = (0.12, 0.88)
    off_centre: float = 0.3
    rotation_degrees: float = 8.0
    shift_vox: float = 4.0
    scale: float = 0.06
    warp_vox: float = 3.0
    warp_resolution: int = 24
    flip: float = 0.5


@dataclass(frozen=True)
class PersonDraw:
    """Which map, how it is turned (degrees about each axis), shifted (voxels) and scaled, and its warp."""

    person: int
    angles: tuple[float, float, float]
    shift: tuple[float, float, float]
    scale: tuple[float, float, float]
    warp_sd: float
    warp_seed: int


@dataclass(frozen=True)
class CutDraw:
    """plane: the axis across it. centre: where the slab's centre lies, as share of the brain's extent by axis."""

    plane: int
    centre: tuple[float, float, float]
    pixel: float
    flip: bool
    side: int
    depth: int
    warp_resolution: int
    people: tuple[PersonDraw, ...]


def draw_cut(config: SliceConfig, people: int, known: int, generator: torch.Generator) -> CutDraw:
    """`people` of the `known` maps, the first being the target; who it is comes back among the examples only where no
    one else is known, others come back once all had their turn."""
    plane = draw.integer(generator, 0, 2)
    pixel = draw.log_uniform(generator, *config.pixel)
    half = 0.5 * config.off_centre * max(0.0, config.pixel[1] - pixel) / max(1e-6, config.pixel[1] - config.pixel[0])
    centre = [draw.uniform(generator, 0.5 - half, 0.5 + half) for _ in range(3)]
    centre[plane] = draw.uniform(generator, *config.place)
    target, *others = torch.randperm(known, generator=generator).tolist()
    others = others or [target]
    order = [target, *(others[n % len(others)] for n in range(people - 1))]
    return CutDraw(
        plane,
        (centre[0], centre[1], centre[2]),
        pixel,
        draw.chance(generator, config.flip),
        config.side,
        config.depth,
        config.warp_resolution,
        tuple(_draw_person(config, n, generator) for n in order),
    )


def _draw_person(config: SliceConfig, person: int, generator: torch.Generator) -> PersonDraw:
    def three(bound: float) -> tuple[float, float, float]:
        a, b, c = (draw.uniform(generator, -bound, bound) for _ in range(3))
        return a, b, c

    return PersonDraw(
        person,
        three(config.rotation_degrees),
        three(config.shift_vox),
        three(config.scale),
        draw.uniform(generator, 0.0, config.warp_vox),
        draw.seed(generator),
    )


@dataclass(frozen=True)
class Extent:
    """The brain's box in a map: low and high voxel index by axis; `usual`: its size in people on average, by which maps
    are scaled to each other."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    usual: tuple[float, float, float]


def extents(maps: Sequence[torch.Tensor], brain: torch.Tensor) -> list[Extent]:
    """Boxes of the label indices where `brain` (L,) is true, in maps (I, J, K) uint8."""
    boxes = []
    for labels in maps:
        inside = brain[labels.long()].nonzero()
        boxes.append((inside.min(0).values.float(), inside.max(0).values.float()))
    usual = torch.stack([high - low for low, high in boxes]).mean(0).tolist()
    return [Extent(tuple(low.tolist()), tuple(high.tolist()), tuple(usual)) for low, high in boxes]


def cut_index(record: CutDraw, person: PersonDraw, extent: Extent) -> torch.Tensor:
    """Where each voxel of the slab reads in the person's map: (3, depth, side, side) voxel indices.

    Rows and columns of the slab run along the map's other two axes, in their order.
    """
    rows, columns = (axis for axis in range(3) if axis != record.plane)
    onto = np.zeros((3, 3))
    onto[record.plane, 0] = 1.0
    onto[rows, 1] = onto[columns, 2] = record.pixel
    low, high, usual = (np.array(values) for values in (extent.low, extent.high, extent.usual))
    fit = np.diag((high - low) / usual * (1 + np.array(person.scale)))
    if record.flip:
        fit[0] *= -1
    linear = _turn(person.angles) @ fit @ onto
    share = np.array(record.centre)
    if record.flip:
        share[0] = 1 - share[0]
    middle = low + share * (high - low) + np.array(person.shift)
    shape = (record.depth, record.side, record.side)
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = middle - linear @ ((np.array(shape) - 1) / 2)
    index = affine_lattice(matrix, shape)
    coarse = draw.coarse_shape(shape[1:], record.warp_resolution)
    noise = draw.noise([person.warp_seed], (3, 1, *coarse))
    return index + person.warp_sd * resize(noise, shape)[0]


def _turn(angles: tuple[float, float, float]) -> np.ndarray:
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(angles)):
        a, b = [other for other in range(3) if other != axis]
        one = np.eye(3)
        one[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        turn = turn @ one
    return turn


def cut_labels(record: CutDraw, maps: Sequence[torch.Tensor], boxes: Sequence[Extent]) -> torch.Tensor:
    """(M, depth, side, side) uint8 label indices, the people of `record` one after the other."""
    slabs = [
        warp_labels(maps[one.person][None], cut_index(record, one, boxes[one.person])[None]) for one in record.people
    ]
    return torch.cat(slabs)
