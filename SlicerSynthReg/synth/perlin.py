"""Perlin's gradient noise: smooth random fields of a chosen grain, from seeds."""

from __future__ import annotations

import torch


def perlin(
    seeds: list[int], shape: tuple[int, ...], cells: tuple[int, int, int], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Noise fields (len(seeds), I, J, K) float32, zero on average, within about -1..1, each from its own seed.

    cells: lattice cells that span the field along each axis; a random unit vector sits at each corner of the lattice,
    and the noise is the fade-weighted sum of (corner's vector) . (way from the corner), fade 6 s^5 - 15 s^4 + 10 s^3,
    so that value, slope and curvature are continuous (Perlin 2002). It is zero at every corner.
    """
    corners = tuple(n + 1 for n in cells)
    vectors = torch.stack(
        [torch.randn((3, *corners), generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    ).to(device)
    vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
    weights, ways = zip(*(_axis(n, count, device) for n, count in zip(shape, cells)))
    field = torch.zeros((len(seeds), *shape), device=device)
    for axis in range(3):  # the sum over corners is a product of three sums, one an axis
        a, b, c = (ways[n] if n == axis else weights[n] for n in range(3))
        field += torch.einsum("bxyz,ix,jy,kz->bijk", vectors[:, axis], a, b, c)
    return field


def _axis(size: int, cells: int, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """(size, cells + 1): fade weight of each corner at each voxel centre, and that weight times the way from it."""
    at = (torch.arange(size, device=device) + 0.5) * (cells / size)
    way = at[:, None] - torch.arange(cells + 1, device=device)
    s = (1 - way.abs()).clamp_min(0)
    weight = s * s * s * (s * (6 * s - 15) + 10)
    return weight, weight * way
