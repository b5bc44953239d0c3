"""Random smooth warps: multi-resolution velocity fields and affines (SynthMorph section II-D, Table I).

Departure from the paper: an affine part (the later joint model's ranges) and axis flips are drawn with the warp, so
that labels are read through one sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.space.grid import affine_lattice
from SlicerSynthReg.space.sampling import resize, resize_displacement, sample
from SlicerSynthReg.space.transform import apply_matrix, exponential
from SlicerSynthReg.synth import draw


@dataclass(frozen=True)
class DeformConfig:
    """resolutions: 1:r of the full grid; velocity_sd: b_v in half-resolution voxels; zoom: size of an
    output voxel in source voxels; shift_vox: in source voxels; the rest bounds uniform draws."""

    resolutions: tuple[int, ...] = (8, 16, 32)
    velocity_sd: float = 3.0
    squarings: int = 5
    rotation_degrees: float = 0.0
    shift_vox: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip_axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class DeformDraw:
    """One warp. velocity: (resolution, SD, seed) for each component; matrix: 3x4, about the grid's centre, voxels."""

    velocity: tuple[tuple[int, float, int], ...]
    matrix: tuple[tuple[float, ...], ...]
    squarings: int


def draw_deform(config: DeformConfig, generator: torch.Generator) -> DeformDraw:
    velocity = tuple(
        (r, draw.uniform(generator, 0.0, config.velocity_sd), draw.seed(generator)) for r in config.resolutions
    )
    angles = [np.deg2rad(draw.uniform(generator, -1, 1) * config.rotation_degrees) for _ in range(3)]
    linear = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        linear = linear @ turn
    shear = np.eye(3)
    for row, column in ((0, 1), (0, 2), (1, 2)):
        shear[row, column] = draw.uniform(generator, -config.shear, config.shear)
    linear = linear @ shear @ np.diag([1 + draw.uniform(generator, -config.scale, config.scale) for _ in range(3)])
    linear = linear * draw.uniform(generator, *config.zoom)
    for axis in config.flip_axes:
        if draw.chance(generator, 0.5):
            linear[:, axis] *= -1
    shift = [draw.uniform(generator, -config.shift_vox, config.shift_vox) for _ in range(3)]
    matrix = tuple((*map(float, row), float(t)) for row, t in zip(linear, shift))
    return DeformDraw(velocity, matrix, config.squarings)


def velocity_field(draws: list[DeformDraw], shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Sum of the upsampled components at half resolution: (B, 3, I/2, J/2, K/2), voxels of that grid."""
    half = draw.coarse_shape(shape, 2)
    v = torch.zeros((len(draws), 3, *half), device=device)
    for component in range(len(draws[0].velocity)):
        drawn = [d.velocity[component] for d in draws]
        fields = draw.noise([seed for _, _, seed in drawn], (3, *draw.coarse_shape(shape, drawn[0][0])), device)
        sds = torch.tensor([sd for _, sd, _ in drawn], device=device).view(-1, 1, 1, 1, 1)
        v += sds * resize(fields, half)
    return v


def warp_index(
    draws: list[DeformDraw],
    source_shape: tuple[int, ...],
    shape: tuple[int, ...] | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Where each voxel of an output of `shape` reads in a source of `source_shape`: (B, 3, *shape), voxel indices.

    Both grids share their centre and voxel size; x -> A (x + u(x)), u = exp(v).
    """
    shape = source_shape if shape is None else shape
    u = torch.zeros((len(draws), 3, *shape), device=device)
    if draws[0].velocity:
        half = exponential(velocity_field(draws, shape, device), draws[0].squarings)
        u = resize_displacement(half, shape)
    rows = []
    for one, record in zip(u, draws):
        matrix = placement(record, source_shape, shape)
        linear = np.eye(4)
        linear[:3, :3] = matrix[:3, :3]
        rows.append(affine_lattice(matrix, shape, device) + apply_matrix(linear, one))
    return torch.stack(rows)


def unwarped_index(
    draws: list[DeformDraw], index: torch.Tensor, source_shape: tuple[int, ...], shape: tuple[int, ...]
) -> torch.Tensor:
    """The inverse of `warp_index`: where in an output of `shape` the source's voxel indices (B, 3, ...) come to lie.

    x = w(A^-1 z), w = exp(-v): z = A (x + u(x)).
    """
    back = [apply_matrix(np.linalg.inv(placement(d, source_shape, shape)), z) for d, z in zip(draws, index)]
    straight = torch.stack(back)
    if not draws[0].velocity:
        return straight
    half = exponential(-velocity_field(draws, shape, index.device), draws[0].squarings)
    return straight + sample(resize_displacement(half, shape), straight, padding="border")


def placement(record: DeformDraw, source_shape: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The affine part as 4x4: voxel index of an output of `shape` -> voxel index of the source, about both centres."""
    to_center, from_center = np.eye(4), np.eye(4)
    to_center[:3, 3] = -(np.array(shape) - 1) / 2
    from_center[:3, 3] = (np.array(source_shape) - 1) / 2
    return from_center @ np.vstack([record.matrix, [0, 0, 0, 1]]) @ to_center


def warp_labels(labels: torch.Tensor, index: torch.Tensor, outside: int = 0) -> torch.Tensor:
    """Nearest reading of integer labels (B, I, J, K) at voxel indices (B, 3, *out); `outside` beyond the source."""
    sizes = labels.shape[1:]
    near = index.add(0.5).floor_().to(torch.int32)
    inside = torch.ones(near.shape[:1] + near.shape[2:], dtype=torch.bool, device=labels.device)
    flat = torch.zeros_like(near[:, 0])
    for axis, size in enumerate(sizes):
        n = near[:, axis]
        inside &= (n >= 0) & (n < size)
        flat = flat * size + n.clamp(0, size - 1)
    read = labels.flatten(1).gather(1, flat.flatten(1).long()).view(flat.shape)
    return read.masked_fill_(~inside, outside)


def warp_image(image: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Linear reading of (B, C, I, J, K) at voxel indices (B, 3, *out), zero outside."""
    return sample(image, index)
