"""Interpolation of images between voxels. The only caller of grid_sample in the project."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.grid import Grid, affine_lattice

_MIN_POINTS = 1000
"""Fewer points are interpolated faster by one thread."""


def sample(image: torch.Tensor, index: torch.Tensor, mode: str = "linear", padding: str = "zeros") -> torch.Tensor:
    """Return `image` (B, C, I, J, K) interpolated at the voxel indices `index` (B, 3, *out): (B, C, *out).

    Channel c of `index` is along array axis c, in voxels; 0 is the centre of the first voxel. mode: "linear" or
    "nearest". padding: "zeros" or "border". The outermost half voxel belongs to the image either way, as in ITK; with
    zeros, linear values fade to 0 over one voxel beyond the last centre.
    """
    sizes = image.shape[2:]
    axes = []
    for axis in (2, 1, 0):
        span = max(sizes[axis] - 1, 1)
        axes.append(index[:, axis] * (2.0 / span) - 1.0)
    lattice = torch.stack(axes, dim=-1).to(image.dtype)
    flat = lattice.dim() == 3
    if flat:
        lattice = lattice[:, :, None, None, :]
    if min(sizes) == 1:
        image, lattice = _pad_thin_axes(image, lattice, index.reshape(index.shape[0], 3, *lattice.shape[1:4]), padding)
    values = _interpolate(image, lattice, "bilinear" if mode == "linear" else mode, padding)
    return values[..., 0, 0] if flat else values


def _interpolate(image: torch.Tensor, lattice: torch.Tensor, mode: str, padding: str) -> torch.Tensor:
    """Call grid_sample with the points of a single image split among the CPU threads, since each thread takes whole
    batch elements. Not with gradients: each thread would need a copy of the image's gradient."""
    points = lattice[0].numel() // 3
    graph = image.requires_grad or lattice.requires_grad
    parts = 1 if len(image) > 1 or image.is_cuda or graph or points < _MIN_POINTS else torch.get_num_threads()
    while points % parts:
        parts -= 1
    if parts == 1:
        return F.grid_sample(image, lattice, mode=mode, padding_mode=padding, align_corners=True)
    dealt = lattice.reshape(parts, -1, 1, 1, 3)
    shared = image.expand(parts, -1, -1, -1, -1)
    values = F.grid_sample(shared, dealt, mode=mode, padding_mode=padding, align_corners=True)
    return values.transpose(0, 1).reshape(1, image.shape[1], *lattice.shape[1:4])


def _pad_thin_axes(
    image: torch.Tensor, lattice: torch.Tensor, index: torch.Tensor, padding: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad axes of one voxel to three: grid_sample with aligned corners cannot address them."""
    lattice = lattice.clone()
    for axis in range(3):
        if image.shape[2 + axis] == 1:
            before_after = [0, 0, 0, 0, 0, 0]
            before_after[2 * (2 - axis)] = before_after[2 * (2 - axis) + 1] = 1
            image = F.pad(image, before_after, mode="replicate" if padding == "border" else "constant")
            lattice[..., 2 - axis] = index[:, axis].to(lattice.dtype)
    return image, lattice


class PointInterpolator:
    """Linear interpolation of one image (C, I, J, K) at scattered points, repeatedly: `sample` with border padding.

    The channels of a voxel are contiguous, so that a point costs eight memory accesses, not 8 C. The image has at least
    two voxels along each axis.
    """

    def __init__(self, image: torch.Tensor) -> None:
        self.sizes = tuple(image.shape[1:])
        self.rows = image.flatten(1).T.contiguous()
        i, j = self.sizes[1] * self.sizes[2], self.sizes[2]
        self.corners = torch.tensor([0, 1, j, j + 1, i, i + 1, i + j, i + j + 1], device=image.device)

    def __call__(self, index: torch.Tensor) -> torch.Tensor:
        """Return (C, N) at the voxel indices `index` (3, N)."""
        last = torch.tensor(self.sizes, device=index.device)[:, None] - 1
        inside = torch.minimum(index.clamp_min(0), last)
        low = torch.minimum(inside.floor(), last - 1)
        x, y, z = inside - low
        i, j, k = low.long()
        first = (i * self.sizes[1] + j) * self.sizes[2] + k
        weights = torch.stack([a * b * c for a in (1 - x, x) for b in (1 - y, y) for c in (1 - z, z)], 1)
        return F.embedding_bag(first[:, None] + self.corners, self.rows, per_sample_weights=weights, mode="sum").T


def sample_displaced(
    image: torch.Tensor, u_vox: torch.Tensor, lattice: torch.Tensor, mode: str = "linear", padding: str = "border"
) -> torch.Tensor:
    """Return image(x + u(x)): image (B, C, I, J, K), u_vox (B, 3, I, J, K), lattice: index_lattice of that shape."""
    if image.requires_grad or u_vox.requires_grad or image.is_cuda:
        return sample(image, lattice[None] + u_vox, mode=mode, padding=padding)
    moved = image.new_empty((*image.shape[:2], *u_vox.shape[2:]))
    for part in chunks(tuple(u_vox.shape[2:])):
        moved[:, :, part] = sample(image, lattice[None, :, part] + u_vox[:, :, part], mode=mode, padding=padding)
    return moved


def chunks(shape: tuple[int, ...], voxels: int = 600_000) -> list[slice]:
    """Return slices that split the first axis into parts of about `voxels` voxels, so that temporaries stay in the CPU
    cache and in memory that the allocator reuses."""
    planes = max(1, voxels // math.prod(shape[1:]))
    return [slice(start, min(start + planes, shape[0])) for start in range(0, shape[0], planes)]


def resize(field: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return `field` (B, C, I, J, K) linearly interpolated to `shape`; the outer voxel edges coincide."""
    return F.interpolate(field, size=tuple(shape), mode="trilinear", align_corners=False)


def resize_displacement(u_vox: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the displacements `u_vox` (B, 3, I, J, K) resized to `shape` and rescaled to its voxels."""
    factors = [new / old for new, old in zip(shape, u_vox.shape[2:])]
    scale = torch.tensor(factors, dtype=u_vox.dtype, device=u_vox.device).view(1, 3, 1, 1, 1)
    return resize(u_vox, shape) * scale


def resample_affine(
    data: torch.Tensor,
    source: Grid,
    target: Grid,
    matrix: np.ndarray | None = None,
    mode: str = "linear",
    padding: str = "zeros",
) -> torch.Tensor:
    """Return `data` (C, I, J, K) on `source` resampled to `target`: (C, *target.shape), of the type of `data`.

    matrix: 4x4, RAS mm of `target` -> RAS mm of `source`; None for the identity. mode, padding: as for `sample`.
    """
    index = affine_lattice(target.index_to_index(source, matrix), target.shape, data.device)
    floating = data if data.is_floating_point() else data.to(torch.float32)
    return sample(floating[None], index[None], mode=mode, padding=padding)[0].to(data.dtype)
