"""The prior of displacements and its divergence (thesis paper 3, eqs. 4 to 6), in two and in three dimensions.

p(Phi) = prod_d N(0, Lambda_ab^-1) with Lambda_ab = alpha Lambda + beta / n^2 1 1', Lambda the Laplacian of the voxels'
neighbour graph; q = prod N(mu, v), each voxel and axis by itself. With sums over every pair of neighbours once,

    2 KL = -(n - 1) D log alpha - D log beta + alpha S + beta T - sum log v + const,
    S = sum_d [sum_k |N(k)| v + sum_pairs (mu_k - mu_l)^2],  T = sum_d [(mean mu)^2 + sum_k v / n^2],

which alpha = (n - 1) D / S and beta = D / T minimise. The paper's eq. 5 runs over neighbours of every voxel and would
count each pair twice; tested against explicit matrices, once is right. Its eq. 6 leaves out the factor 1/2 of the
divergence; here a voxel's part is such that all parts add up to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Moments:
    """roughness: S, translation: T, each the batch's mean; n: voxels, dims: D."""

    roughness: torch.Tensor
    translation: torch.Tensor
    n: int
    dims: int

    @property
    def alpha(self) -> torch.Tensor:
        """The stiffness that the moments make most likely."""
        return (self.n - 1) * self.dims / self.roughness.clamp_min(1e-12)

    @property
    def beta(self) -> torch.Tensor:
        """The precision of translations that the moments make most likely."""
        return self.dims / self.translation.clamp_min(1e-12)


def neighbours(shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """|N(k)|, how many of its 2 D neighbours a voxel has within the grid: float, `shape`."""
    count = torch.zeros(shape, device=device)
    for axis, n in enumerate(shape):
        if n > 1:
            count.narrow(axis, 1, n - 1).add_(1)
            count.narrow(axis, 0, n - 1).add_(1)
    return count


def pair_energy(mu: torch.Tensor) -> torch.Tensor:
    """Half of sum_{l in N(k)} (mu_k - mu_l)^2, summed over components: (B, D, *shape) -> (B, *shape)."""
    energy = torch.zeros_like(mu[:, 0])
    for axis in range(2, mu.dim()):
        n = mu.shape[axis]
        if n == 1:
            continue
        half = 0.5 * mu.diff(dim=axis).square().sum(1)
        pad = [0, 0] * (mu.dim() - 1 - axis)
        energy = energy + torch.nn.functional.pad(half, [*pad, 0, 1]) + torch.nn.functional.pad(half, [*pad, 1, 0])
    return energy


def moments(mu: torch.Tensor, log_v: torch.Tensor) -> Moments:
    """S and T of mu, log v (B, D, *shape)."""
    shape, v = tuple(mu.shape[2:]), log_v.exp()
    n, space = math.prod(shape), tuple(range(2, mu.dim()))
    roughness = (neighbours(shape, mu.device) * v).sum((1, *space)) + pair_energy(mu).flatten(1).sum(1)
    translation = mu.mean(space).square().sum(1) + v.sum((1, *space)) / n**2
    return Moments(roughness.mean(), translation.mean(), n, mu.shape[1])


def divergence(
    mu: torch.Tensor, log_v: torch.Tensor, alpha: torch.Tensor | float, beta: torch.Tensor | float
) -> torch.Tensor:
    """KL(q | p) without its constant, as a part for each voxel: (B, D, *shape) -> (B, *shape); sum_k is the whole.

    What belongs to no voxel, log alpha and log beta, is dealt out evenly.
    """
    shape, dims, v = tuple(mu.shape[2:]), mu.shape[1], log_v.exp()
    n, space = math.prod(shape), tuple(range(2, mu.dim()))
    alpha, beta = (torch.as_tensor(x, dtype=mu.dtype, device=mu.device) for x in (alpha, beta))
    count = neighbours(shape, mu.device)
    variance = ((alpha * count + beta / n**2) * v - log_v).sum(1)
    translation = beta / n * (mu * mu.mean(space, keepdim=True)).sum(1)
    shared = ((n - 1) * dims * alpha.log() + dims * beta.log()) / n
    return 0.5 * (variance + translation + alpha * pair_energy(mu) - shared)
