"""Gradient noise (Perlin 2002): smooth random fields of a given lattice spacing, from seeds."""

from __future__ import annotations

import torch


def perlin(
    seeds: list[int], shape: tuple[int, ...], cells: tuple[int, int, int], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return noise fields (len(seeds), I, J, K) float32, zero mean, within about -1..1, each from its own seed.

    cells: lattice cells that span the field along each axis. A random unit vector lies at each lattice node; the noise
    is the sum over nodes of (node's vector) . (offset from the node), weighted by the fade 6 s^5 - 15 s^4 + 10 s^3, so
    that value, slope and curvature are continuous. It is zero at every node.
    """
    corners = tuple(n + 1 for n in cells)
    vectors = torch.stack(
        [torch.randn((3, *corners), generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    ).to(device)
    vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
    weights, offsets = zip(*(_axis(n, count, device) for n, count in zip(shape, cells)))
    field = torch.zeros((len(seeds), *shape), device=device)
    for axis in range(3):  # the sum over corners is a product of three sums, one an axis
        a, b, c = (offsets[n] if n == axis else weights[n] for n in range(3))
        field += torch.einsum("bxyz,ix,jy,kz->bijk", vectors[:, axis], a, b, c)
    return field


def _axis(size: int, cells: int, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (size, cells + 1): fade weight of each node at each voxel centre, and that weight times the offset."""
    at = (torch.arange(size, device=device) + 0.5) * (cells / size)
    offset = at[:, None] - torch.arange(cells + 1, device=device)
    s = (1 - offset.abs()).clamp_min(0)
    weight = s * s * s * (s * (6 * s - 15) + 10)
    return weight, weight * offset
