from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.synthesis.pathology.transport import CFL, Transport, boundary_ramp, curl_on_faces, divergence
from SlicerSynthReg.synthesis.perlin import perlin


def ball(n: int, radius: float = 0.8) -> torch.Tensor:
    at = torch.linspace(-1, 1, n)
    squares = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2
    return (squares < radius**2)[None]


def zero_velocity(shape: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    i, j, k = shape
    return torch.zeros(1, i + 1, j, k), torch.zeros(1, i, j + 1, k), torch.zeros(1, i, j, k + 1)


def random_potential(n: int, seed: int = 0, rows: int = 1) -> torch.Tensor:
    return torch.stack([perlin([seed + 10 * r + c for r in range(rows)], (n + 1,) * 3, (2, 2, 2)) for c in range(3)], 1)


def random_flow(domain: torch.Tensor, strength: float = 60.0, seed: int = 0) -> tuple[torch.Tensor, ...]:
    n, rows = domain.shape[1], len(domain)
    return curl_on_faces(random_potential(n, seed, rows) * boundary_ramp(domain, 2) * strength, domain)


class RotatingGaussian:
    """A Gaussian that rotates about the third axis by `angle` and diffuses, on a box of side 1."""

    sd, off, angle, spread = 0.07, 0.16, 1.5, 0.0006

    def at(self, n: int, time: float) -> torch.Tensor:
        """Return the exact density (1, n, n, 1) at `time` (0..1), of unit height at the start."""
        variance = self.sd**2 + 2 * self.spread * time
        c, s = self.off * math.cos(self.angle * time), self.off * math.sin(self.angle * time)
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n - 0.5
        square = (x[:, None] - c) ** 2 + (x - s) ** 2
        return (self.sd**2 / variance * torch.exp(-square / (2 * variance)))[None, :, :, None]

    def transport(self, n: int) -> Transport:
        """Psi_z = -angle r^2 / 2 gives V = angle (-y, x); all in voxels."""
        x = torch.arange(n + 1, dtype=torch.float64) - n / 2
        psi = torch.zeros(1, 3, n + 1, n + 1, 2, dtype=torch.float64)
        psi[0, 2] = (-0.5 * self.angle * (x[:, None] ** 2 + x**2))[:, :, None]
        diffusion = torch.full((1, n, n, 1), self.spread * n**2, dtype=torch.float64)
        return Transport(curl_on_faces(psi), diffusion, torch.ones(1, n, n, 1, dtype=torch.bool))

    def error(self, n: int) -> float:
        found = self.transport(n).integrate(self.at(n, 0.0), torch.ones(1)).x
        return float((found - self.at(n, 1.0)).abs().mean() / self.at(n, 1.0).mean())


def test_advection_diffusion_converges_to_the_exact_solution_at_first_order():
    gaussian = RotatingGaussian()
    errors = [gaussian.error(n) for n in (48, 96, 192)]
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert errors[-1] < 0.1
    assert 0.7 < orders[0] < orders[1] < 1.1  # rising to 1, the upwind scheme's


def test_rotation_has_the_direction_of_the_curl():
    """The opposite direction or permuted axes would move the centre elsewhere."""
    gaussian, n = RotatingGaussian(), 96
    found = gaussian.transport(n).integrate(gaussian.at(n, 0.0), torch.ones(1)).x[0, :, :, 0]
    at = (torch.arange(n) + 0.5) / n - 0.5
    middle = [float((found.sum(1 - axis) * at).sum() / found.sum()) for axis in range(2)]
    assert middle == pytest.approx([0.16 * math.cos(1.5), 0.16 * math.sin(1.5)], abs=2e-3)


def test_pure_diffusion_converges_at_second_order():
    """cos(pi x) keeps its shape under zero-Neumann and decays with exp(-D pi^2 t)."""
    errors = []
    for n in (16, 32, 64):
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        wave = torch.cos(math.pi * x)[None, :, None, None]
        transport = Transport(
            zero_velocity((n, 1, 1)), torch.full((1, n, 1, 1), 0.05 * n**2), torch.ones(1, n, 1, 1) > 0
        )
        found = transport.integrate(wave, torch.ones(1), rtol=1e-7, atol=1e-9).x
        errors.append(float((found - wave * math.exp(-0.05 * math.pi**2)).abs().max()))
    assert [math.log2(a / b) for a, b in zip(errors, errors[1:])] == pytest.approx([2, 2], abs=0.1)


def test_diffusion_between_neighbours_uses_their_mean_coefficient():
    """Three voxels, D = 1, 3, 5, P = 1, 0, 0: the flux from the first to the second has the rate (1 + 3) / 2."""
    d = torch.tensor([1.0, 3.0, 5.0]).view(1, 3, 1, 1)
    p = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    transport = Transport(zero_velocity((3, 1, 1)), d, torch.ones(1, 3, 1, 1) > 0)
    assert transport.time_derivative(p).flatten().tolist() == [-2.0, 2.0, 0.0]
    assert float(transport.exchange_rate()) == 6.0  # the middle voxel's: 2 + 4


def test_curl_is_divergence_free_and_tangential_at_the_boundary():
    domain = ball(24)
    faces = random_flow(domain)
    assert float(faces[0].abs().max()) > 0.5
    assert float(divergence(faces).abs().max()) < 1e-5
    for axis, face in enumerate(faces):
        n = domain.shape[1 + axis]
        a, b = domain.narrow(1 + axis, 0, n - 1), domain.narrow(1 + axis, 1, n - 1)
        assert not face.narrow(1 + axis, 1, n - 1)[a ^ b].any()
    unbounded = curl_on_faces(random_potential(24))
    assert float(divergence(unbounded).abs().max()) < 1e-6
    assert float(unbounded[0][:, 0].abs().max()) > 0.01  # without a domain it flows through the grid's faces


def test_components_of_the_curl():
    """Psi = (yz, 2zx, 3xy): curl = (3x - 2x, y - 3y, 2z - z) = (x, -2y, z)."""
    i, j, k = (torch.arange(n + 1, dtype=torch.float64) for n in (5, 6, 7))
    x, y, z = torch.meshgrid(i, j, k, indexing="ij")
    faces = curl_on_faces(torch.stack([y * z, 2 * z * x, 3 * x * y])[None])
    for axis, (face, factor) in enumerate(zip(faces, (1, -2, 1))):
        at = torch.arange(face.shape[1 + axis], dtype=torch.float64)
        assert torch.allclose(face[0].movedim(axis, -1), factor * at)


@pytest.mark.parametrize("flowing", [False, True])
def test_mass_is_conserved_in_an_irregular_domain(flowing):
    domain = ball(24)
    domain[:, :, 10:14, :] &= torch.rand(1, 24, 4, 24, generator=torch.Generator().manual_seed(0)) > 0.3
    p = ((torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(1)) > 0.7) & domain).float()
    velocity = random_flow(domain) if flowing else zero_velocity((24, 24, 24))
    diffusion = torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(2)) * 3
    found = Transport(velocity, diffusion, domain).integrate(p, torch.ones(1)).x
    assert float((found - p).abs().max()) > 0.3
    assert float(found.sum()) == pytest.approx(float(p.sum()), rel=1e-4)
    assert not found[~domain].any()


def test_flow_through_the_boundary_changes_the_mass():
    """Control of the test above: the same potential without the boundary condition."""
    domain = ball(24)
    velocity = curl_on_faces(random_potential(24) * 60)
    p = ball(24, 0.5).float()
    found = Transport(velocity, torch.zeros(1, 24, 24, 24), domain).integrate(p, torch.ones(1)).x
    assert not found[~domain].any()
    assert abs(float(found.sum() / p.sum()) - 1) > 0.01


def test_maximum_principle_holds():
    domain = ball(24)
    p = (ball(24, 0.4) * 0.6 + 0.2) * domain
    found = Transport(random_flow(domain), torch.full((1, 24, 24, 24), 0.5), domain).integrate(p, torch.ones(1)).x
    assert float(found[domain].min()) > 0.2 - 1e-3 and float(found.max()) < 0.8 + 1e-3
    constant = Transport(random_flow(domain), torch.ones(1, 24, 24, 24), domain).integrate(domain * 1.0, torch.ones(1))
    assert torch.allclose(constant.x, domain * 1.0, atol=1e-5)


def test_steps_respect_the_cfl_limit_and_batch_elements_have_their_own_times():
    domain = ball(16).repeat(2, 1, 1, 1)
    transport = Transport(random_flow(domain), torch.ones(2, 16, 16, 16), domain)
    p = ball(16, 0.4).repeat(2, 1, 1, 1).float()
    times = torch.tensor([0.2, 0.7])
    found = transport.integrate(p, times)
    assert found.accepted >= float((transport.exchange_rate() * times).max()) / CFL
    for row in range(2):
        one = slice(row, row + 1)
        alone = Transport(tuple(face[one] for face in transport.velocity), transport.diffusion[one], domain[one])
        assert torch.allclose(alone.integrate(p[row : row + 1], times[row : row + 1]).x[0], found.x[row], atol=2e-3)


def test_stencil_agrees_with_the_fluxes_through_faces():
    """Two domains at different positions; values outside of them are unchanged."""
    generator = torch.Generator().manual_seed(0)
    domain = torch.zeros(2, 9, 8, 7, dtype=torch.bool)
    domain[0, 6:, 5:, 4:] = domain[1, 2:8, 1:3, 3:7] = True
    velocity = random_flow(torch.ones(2, 9, 9, 9, dtype=torch.bool))
    velocity = (velocity[0][:, :, :8, :7], velocity[1][:, :, :, :7], velocity[2][:, :, :8, :8])
    diffusion, p = (torch.rand(2, 9, 8, 7, generator=generator) for _ in range(2))
    transport = Transport(velocity, diffusion, domain)
    expected = torch.zeros_like(p)
    for axis, face in enumerate(velocity):
        n, dim = p.shape[1 + axis], 1 + axis
        before, after = ((dim, 0, n - 1), (dim, 1, n - 1))
        opened = domain.narrow(*before) & domain.narrow(*after)
        flux = (diffusion.narrow(*before) + diffusion.narrow(*after)) / 2 * p.diff(dim=dim) * opened
        carried = face.narrow(dim, 1, n - 1) * p.diff(dim=dim) * opened
        expected.narrow(*before).add_(flux - carried.where(face.narrow(dim, 1, n - 1) < 0, torch.zeros(())))
        expected.narrow(*after).sub_(flux + carried.where(face.narrow(dim, 1, n - 1) > 0, torch.zeros(())))
    assert torch.allclose(transport.time_derivative(p), expected, atol=1e-5) and expected[1, :, 1].abs().max() > 0.1
    found = transport.integrate(p, torch.tensor([0.3, 0.3])).x
    assert torch.equal(found[~domain], p[~domain]) and not torch.equal(found[domain], p[domain])


def test_single_voxel_domain_is_unchanged():
    domain = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    domain[0, 2, 2, 2] = True
    transport = Transport(zero_velocity((4, 4, 4)), torch.ones(1, 4, 4, 4), domain)
    assert float(transport.exchange_rate()) == 0
    p = torch.rand(1, 4, 4, 4)
    assert torch.equal(transport.integrate(p, torch.ones(1)).x, p)


def test_agrees_with_scipy_on_the_same_scheme():
    """The scheme is written voxel by voxel and integrated by SciPy's RK45."""
    from scipy.integrate import solve_ivp

    n = 8
    domain = ball(n, 1.2)
    velocity = random_flow(domain, 20.0)
    diffusion = torch.rand(1, n, n, n, generator=torch.Generator().manual_seed(0))
    p = ball(n, 0.6).float()
    inside, d = domain[0].numpy(), diffusion[0].numpy()
    vs = [v[0].numpy() for v in velocity]

    def derivative(t: float, flat: np.ndarray) -> np.ndarray:
        q, out = flat.reshape(n, n, n), np.zeros((n, n, n))
        for place in np.argwhere(inside):
            for axis in range(3):
                for side in (0, 1):
                    other = place.copy()
                    other[axis] += 2 * side - 1
                    if not 0 <= other[axis] < n or not inside[tuple(other)]:
                        continue
                    face = place.copy()
                    face[axis] += side
                    v = vs[axis][tuple(face)]
                    jump = q[tuple(other)] - q[tuple(place)]
                    inflow = max(0.0, v) if side == 0 else max(0.0, -v)
                    out[tuple(place)] += (inflow + (d[tuple(other)] + d[tuple(place)]) / 2) * jump
        return out.ravel()

    reference = (
        solve_ivp(derivative, (0, 0.3), p.numpy().ravel().astype(float), rtol=1e-5, atol=1e-7).y[:, -1].reshape(n, n, n)
    )
    found = Transport(velocity, diffusion, domain).integrate(p, torch.tensor([0.3]), 1e-5, 1e-7).x[0].numpy()
    assert np.abs(found - p[0].numpy()).max() > 0.1
    assert np.abs(found - reference).max() < 1e-4
