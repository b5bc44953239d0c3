"""Prior of displacements and its Kullback-Leibler divergence (thesis paper 3, eqs. 4 to 6), in 2-D and 3-D.

p(Phi) = prod_d N(0, Lambda_ab^-1) with Lambda_ab = alpha Lambda + beta / n^2 1 1', Lambda the graph Laplacian of the
voxels; q = prod N(mu, v), independent voxels and axes. With sums over every pair of neighbours once,

    2 KL = -(n - 1) D log alpha - D log beta + alpha S + beta T - sum log v + const,
    S = sum_d [sum_k |N(k)| v + sum_pairs (mu_k - mu_l)^2],  T = sum_d [(mean mu)^2 + sum_k v / n^2],

minimised by alpha = (n - 1) D / S and beta = D / T. The paper's eq. 5 sums over the neighbours of every voxel and would
count each pair twice; tests against explicit matrices show that once is right. Its eq. 6 leaves out the factor 1/2 of
the divergence; here the parts of all voxels add up to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Moments:
    """roughness: S, translation: T, means over the batch. n: voxels. dims: D."""

    roughness: torch.Tensor
    translation: torch.Tensor
    n: int
    dims: int

    @property
    def alpha(self) -> torch.Tensor:
        """Maximum-likelihood stiffness."""
        return (self.n - 1) * self.dims / self.roughness.clamp_min(1e-12)

    @property
    def beta(self) -> torch.Tensor:
        """Maximum-likelihood precision of the translation."""
        return self.dims / self.translation.clamp_min(1e-12)


def neighbour_count(shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return |N(k)|, the number of neighbours (at most 2 D) of each voxel of the grid: float, `shape`."""
    count = torch.zeros(shape, device=device)
    for axis, n in enumerate(shape):
        if n > 1:
            count.narrow(axis, 1, n - 1).add_(1)
            count.narrow(axis, 0, n - 1).add_(1)
    return count


def laplacian_energy(mu: torch.Tensor) -> torch.Tensor:
    """Return half of sum_{l in N(k)} (mu_k - mu_l)^2, summed over components: (B, D, *shape) -> (B, *shape)."""
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
    """Return S and T of mu, log v (B, D, *shape)."""
    shape, v = tuple(mu.shape[2:]), log_v.exp()
    n, space = math.prod(shape), tuple(range(2, mu.dim()))
    roughness = (neighbour_count(shape, mu.device) * v).sum((1, *space)) + laplacian_energy(mu).flatten(1).sum(1)
    translation = mu.mean(space).square().sum(1) + v.sum((1, *space)) / n**2
    return Moments(roughness.mean(), translation.mean(), n, mu.shape[1])


def kl_divergence(
    mu: torch.Tensor, log_v: torch.Tensor, alpha: torch.Tensor | float, beta: torch.Tensor | float
) -> torch.Tensor:
    """Return KL(q | p) without its constant, per voxel: (B, D, *shape) -> (B, *shape); their sum is the whole.

    log alpha and log beta are distributed evenly over voxels.
    """
    shape, dims, v = tuple(mu.shape[2:]), mu.shape[1], log_v.exp()
    n, space = math.prod(shape), tuple(range(2, mu.dim()))
    alpha, beta = (torch.as_tensor(x, dtype=mu.dtype, device=mu.device) for x in (alpha, beta))
    count = neighbour_count(shape, mu.device)
    variance = ((alpha * count + beta / n**2) * v - log_v).sum(1)
    translation = beta / n * (mu * mu.mean(space, keepdim=True)).sum(1)
    shared = ((n - 1) * dims * alpha.log() + dims * beta.log()) / n
    return 0.5 * (variance + translation + alpha * laplacian_energy(mu) - shared)
