"""Random smooth deformations: multi-resolution stationary velocity fields and affine maps (Hoffmann et al. 2022,
SynthMorph, section II-D and Table I).

Departures from the paper: an affine part (ranges of the later joint model) and axis flips are drawn with the
deformation, so that labels are sampled once. Resolutions count voxels of the output grid, not millimetres: at 2 mm the
nodes of (8, 16, 32) lie 16, 32 and 64 mm apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.spatial.grid import affine_lattice
from SlicerSynthReg.spatial.sampling import resize, resize_displacement, sample
from SlicerSynthReg.spatial.transform import apply_matrix, exponential
from SlicerSynthReg.synthesis import draw


@dataclass(frozen=True)
class DeformationConfig:
    """Bounds of uniform draws. resolutions: velocity noise at 1:r of the output grid. velocity_sd: b_v, in voxels of
    half resolution. zoom: size of an output voxel in source voxels. shift_vox: in source voxels. flip_axes: axes that
    are reversed with probability 1/2."""

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
class DeformationDraw:
    """One deformation. velocity: (resolution, SD, seed) of each component. matrix: 3x4, about the grid's centre,
    voxels."""

    velocity: tuple[tuple[int, float, int], ...]
    matrix: tuple[tuple[float, ...], ...]
    squarings: int


def draw_deformation(config: DeformationConfig, generator: torch.Generator) -> DeformationDraw:
    """Draw one deformation."""
    velocity = tuple(
        (r, draw.uniform(generator, 0.0, config.velocity_sd), draw.seed(generator)) for r in config.resolutions
    )
    angles = [np.deg2rad(draw.uniform(generator, -1, 1) * config.rotation_degrees) for _ in range(3)]
    linear = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [other for other in range(3) if other != axis]
        rotation = np.eye(3)
        rotation[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        linear = linear @ rotation
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
    return DeformationDraw(velocity, matrix, config.squarings)


def velocity_field(
    draws: list[DeformationDraw], shape: tuple[int, ...], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return the sum of the upsampled noise components at half resolution: (B, 3, I/2, J/2, K/2), in voxels of that
    grid."""
    half = draw.coarse_shape(shape, 2)
    v = torch.zeros((len(draws), 3, *half), device=device)
    for component in range(len(draws[0].velocity)):
        drawn = [d.velocity[component] for d in draws]
        fields = draw.noise([seed for _, _, seed in drawn], (3, *draw.coarse_shape(shape, drawn[0][0])), device)
        sds = torch.tensor([sd for _, sd, _ in drawn], device=device).view(-1, 1, 1, 1, 1)
        v += sds * resize(fields, half)
    return v


def warp_index(
    draws: list[DeformationDraw],
    source_shape: tuple[int, ...],
    shape: tuple[int, ...] | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return the source voxel index at which each voxel of an output of `shape` is sampled: (B, 3, *shape).

    Both grids share their centre and voxel size; x -> A (x + u(x)), u = exp(v).
    """
    shape = source_shape if shape is None else shape
    u = torch.zeros((len(draws), 3, *shape), device=device)
    if draws[0].velocity:
        half = exponential(velocity_field(draws, shape, device), draws[0].squarings)
        u = resize_displacement(half, shape)
    rows = []
    for item, record in zip(u, draws):
        matrix = affine_matrix(record, source_shape, shape)
        linear = np.eye(4)
        linear[:3, :3] = matrix[:3, :3]
        rows.append(affine_lattice(matrix, shape, device) + apply_matrix(linear, item))
    return torch.stack(rows)


def inverse_warp_index(
    draws: list[DeformationDraw], index: torch.Tensor, source_shape: tuple[int, ...], shape: tuple[int, ...]
) -> torch.Tensor:
    """Invert `warp_index`: return the output voxel indices of the source's voxel indices (B, 3, ...).

    x = w(A^-1 z), w = exp(-v): z = A (x + u(x)).
    """
    affine = [apply_matrix(np.linalg.inv(affine_matrix(d, source_shape, shape)), z) for d, z in zip(draws, index)]
    unaffine = torch.stack(affine)
    if not draws[0].velocity:
        return unaffine
    half = exponential(-velocity_field(draws, shape, index.device), draws[0].squarings)
    return unaffine + sample(resize_displacement(half, shape), unaffine, padding="border")


def affine_matrix(record: DeformationDraw, source_shape: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Return the affine part as 4x4: voxel index of an output of `shape` -> voxel index of the source, about both
    centres."""
    to_center, from_center = np.eye(4), np.eye(4)
    to_center[:3, 3] = -(np.array(shape) - 1) / 2
    from_center[:3, 3] = (np.array(source_shape) - 1) / 2
    return from_center @ np.vstack([record.matrix, [0, 0, 0, 1]]) @ to_center


def warp_labels(labels: torch.Tensor, index: torch.Tensor, outside: int = 0) -> torch.Tensor:
    """Sample integer labels (B, I, J, K) at voxel indices (B, 3, *out) by nearest neighbour; `outside` beyond the
    source."""
    sizes = labels.shape[1:]
    nearest = index.add(0.5).floor_().to(torch.int32)
    inside = torch.ones(nearest.shape[:1] + nearest.shape[2:], dtype=torch.bool, device=labels.device)
    flat = torch.zeros_like(nearest[:, 0])
    for axis, size in enumerate(sizes):
        n = nearest[:, axis]
        inside &= (n >= 0) & (n < size)
        flat = flat * size + n.clamp(0, size - 1)
    sampled = labels.flatten(1).gather(1, flat.flatten(1).long()).view(flat.shape)
    return sampled.masked_fill_(~inside, outside)


def warp_image(image: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Sample images (B, C, I, J, K) linearly at voxel indices (B, 3, *out); zero outside."""
    return sample(image, index)
