"""The Kullback-Leibler divergence against explicit precision matrices, in 2-D and 3-D."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.topology.prior import kl_divergence, laplacian_energy, moments, neighbour_count

SHAPES = [(5, 4), (3, 2, 4), (4, 1, 3)]


def laplacian(shape: tuple[int, ...]) -> np.ndarray:
    """Return the graph Laplacian (n, n): degree on the diagonal, -1 for neighbours."""
    n = math.prod(shape)
    places = np.stack(np.unravel_index(np.arange(n), shape), 1)
    near = np.abs(places[:, None] - places[None]).sum(2) == 1
    return np.diag(near.sum(1)) - near.astype(float)


def random_posterior(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    dims = len(shape)
    mu = torch.randn((1, dims, *shape), generator=generator, dtype=torch.float64) + 0.7
    return mu, 0.5 * torch.randn((1, dims, *shape), generator=generator, dtype=torch.float64) - 1


def exact(mu: torch.Tensor, log_v: torch.Tensor, alpha: float, beta: float) -> float:
    """Return the KL divergence of N(mu, diag v) from N(0, (alpha L + beta / n^2 1 1')^-1), summed over axes."""
    shape = tuple(mu.shape[2:])
    n = math.prod(shape)
    precision = alpha * laplacian(shape) + beta / n**2 * np.ones((n, n))
    total = 0.0
    for m, lv in zip(mu[0].flatten(1).numpy(), log_v[0].flatten(1).numpy()):
        v = np.exp(lv)
        quadratic = np.diag(precision) @ v + m @ precision @ m
        total += 0.5 * (quadratic - n - lv.sum() - np.linalg.slogdet(precision)[1])
    return total


@pytest.mark.parametrize("shape", SHAPES)
def test_neighbour_count_is_the_laplacians_diagonal(shape):
    assert neighbour_count(shape).flatten().tolist() == np.diag(laplacian(shape)).tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_laplacian_energy_sums_to_the_quadratic_form(shape):
    """Each pair counts once; eq. 5 as printed would give twice the value."""
    mu, _ = random_posterior(shape)
    rows = mu[0].flatten(1).numpy()
    expected = sum(m @ laplacian(shape) @ m for m in rows)
    assert float(laplacian_energy(mu).sum()) == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_voxel_parts_sum_to_the_divergence(shape):
    """Up to a constant that is independent of alpha, beta, mu and v."""
    constants = []
    for seed, (alpha, beta) in enumerate([(1.0, 1.0), (0.3, 5.0), (7.0, 0.02), (2.0, 300.0)]):
        mu, log_v = random_posterior(shape, seed)
        constants.append(float(kl_divergence(mu, log_v, alpha, beta).sum()) - exact(mu, log_v, alpha, beta))
    assert np.ptp(constants) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_alpha_and_beta_minimise_the_divergence(shape):
    mu, log_v = random_posterior(shape, 3)
    found = moments(mu, log_v)
    alpha, beta = float(found.alpha), float(found.beta)
    least = exact(mu, log_v, alpha, beta)
    for factor in (0.8, 0.99, 1.01, 1.3):
        assert exact(mu, log_v, alpha * factor, beta) > least
        assert exact(mu, log_v, alpha, beta * factor) > least


def test_moments_are_means_over_the_batch_and_parts_are_per_element():
    rows = [random_posterior((4, 3), seed) for seed in (0, 1)]
    mu, log_v = (torch.cat(parts) for parts in zip(*rows))
    each = [moments(*row) for row in rows]
    both = moments(mu, log_v)
    assert float(both.roughness) == pytest.approx(float(each[0].roughness + each[1].roughness) / 2)
    assert float(both.translation) == pytest.approx(float(each[0].translation + each[1].translation) / 2)
    parts = kl_divergence(mu, log_v, 2.0, 3.0)
    for n, row in enumerate(rows):
        assert torch.allclose(parts[n : n + 1], kl_divergence(*row, 2.0, 3.0))


def test_translation_changes_only_the_beta_term():
    mu, log_v = random_posterior((6, 5))
    shifted = mu + torch.tensor([0.9, -0.4], dtype=torch.float64).view(1, 2, 1, 1)
    for beta, moves in ((0.0001, False), (50.0, True)):
        difference = float((kl_divergence(shifted, log_v, 3.0, beta) - kl_divergence(mu, log_v, 3.0, beta)).sum())
        means = mu.mean((2, 3)).square().sum(), shifted.mean((2, 3)).square().sum()
        assert difference == pytest.approx(0.5 * beta * float(means[1] - means[0]), abs=1e-8)
        assert (abs(difference) > 1) == moves
