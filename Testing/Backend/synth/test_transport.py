from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.synth.pathology.transport import CFL, Transport, curl_on_faces, depth, divergence
from SlicerSynthReg.synth.perlin import perlin


def a_ball(n: int, share: float = 0.8) -> torch.Tensor:
    at = torch.linspace(-1, 1, n)
    squares = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2
    return (squares < share**2)[None]


def still(shape: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    i, j, k = shape
    return torch.zeros(1, i + 1, j, k), torch.zeros(1, i, j + 1, k), torch.zeros(1, i, j, k + 1)


def random_potential(n: int, seed: int = 0, rows: int = 1) -> torch.Tensor:
    return torch.stack([perlin([seed + 10 * r + c for r in range(rows)], (n + 1,) * 3, (2, 2, 2)) for c in range(3)], 1)


def random_flow(domain: torch.Tensor, strength: float = 60.0, seed: int = 0) -> tuple[torch.Tensor, ...]:
    n, rows = domain.shape[1], len(domain)
    return curl_on_faces(random_potential(n, seed, rows) * depth(domain, 2) * strength, domain)


class Turning:
    """A Gaussian turned about the axis of the third dimension by `angle` while it spreads, on a box of side 1."""

    sd, off, angle, spread = 0.07, 0.16, 1.5, 0.0006

    def at(self, n: int, time: float) -> torch.Tensor:
        """(1, n, n, 1) exact density at `time` (0..1), of unit height at the start."""
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
        found = self.transport(n).advance(self.at(n, 0.0), torch.ones(1)).x
        return float((found - self.at(n, 1.0)).abs().mean() / self.at(n, 1.0).mean())


def test_a_turning_spreading_gaussian_converges_to_its_exact_solution_at_first_order():
    turning = Turning()
    errors = [turning.error(n) for n in (48, 96, 192)]
    orders = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
    assert errors[-1] < 0.1
    assert 0.7 < orders[0] < orders[1] < 1.1  # rising to 1, the upwind scheme's


def test_it_turns_the_way_the_curl_says():
    """The other direction, or one axis for another, would leave the blob elsewhere."""
    turning, n = Turning(), 96
    found = turning.transport(n).advance(turning.at(n, 0.0), torch.ones(1)).x[0, :, :, 0]
    at = (torch.arange(n) + 0.5) / n - 0.5
    middle = [float((found.sum(1 - axis) * at).sum() / found.sum()) for axis in range(2)]
    assert middle == pytest.approx([0.16 * math.cos(1.5), 0.16 * math.sin(1.5)], abs=2e-3)


def test_pure_diffusion_is_of_second_order_against_the_cosine_that_decays():
    """cos(pi x) keeps its shape under zero-Neumann and decays with exp(-D pi^2 t)."""
    errors = []
    for n in (16, 32, 64):
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        wave = torch.cos(math.pi * x)[None, :, None, None]
        transport = Transport(still((n, 1, 1)), torch.full((1, n, 1, 1), 0.05 * n**2), torch.ones(1, n, 1, 1) > 0)
        found = transport.advance(wave, torch.ones(1), rtol=1e-7, atol=1e-9).x
        errors.append(float((found - wave * math.exp(-0.05 * math.pi**2)).abs().max()))
    assert [math.log2(a / b) for a, b in zip(errors, errors[1:])] == pytest.approx([2, 2], abs=0.1)


def test_diffusion_flows_through_the_mean_of_two_neighbours():
    """Three voxels, D = 1, 3, 5, P = 1, 0, 0: what leaves the first enters the second, at rate (1 + 3) / 2."""
    d = torch.tensor([1.0, 3.0, 5.0]).view(1, 3, 1, 1)
    p = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    transport = Transport(still((3, 1, 1)), d, torch.ones(1, 3, 1, 1) > 0)
    assert transport.slope(p).flatten().tolist() == [-2.0, 2.0, 0.0]
    assert float(transport.rates()) == 6.0  # the middle voxel's: 2 + 4


def test_the_curl_has_no_divergence_and_none_of_it_leaves_the_domain():
    domain = a_ball(24)
    faces = random_flow(domain)
    assert float(faces[0].abs().max()) > 0.5
    assert float(divergence(faces).abs().max()) < 1e-5
    for axis, face in enumerate(faces):
        n = domain.shape[1 + axis]
        a, b = domain.narrow(1 + axis, 0, n - 1), domain.narrow(1 + axis, 1, n - 1)
        assert not face.narrow(1 + axis, 1, n - 1)[a ^ b].any()
    open_sided = curl_on_faces(random_potential(24))
    assert float(divergence(open_sided).abs().max()) < 1e-6
    assert float(open_sided[0][:, 0].abs().max()) > 0.01  # without a domain it flows through the grid's faces


def test_the_three_components_of_the_curl():
    """Psi = (yz, 2zx, 3xy): curl = (3x - 2x, y - 3y, 2z - z) = (x, -2y, z)."""
    i, j, k = (torch.arange(n + 1, dtype=torch.float64) for n in (5, 6, 7))
    x, y, z = torch.meshgrid(i, j, k, indexing="ij")
    faces = curl_on_faces(torch.stack([y * z, 2 * z * x, 3 * x * y])[None])
    for axis, (face, factor) in enumerate(zip(faces, (1, -2, 1))):
        at = torch.arange(face.shape[1 + axis], dtype=torch.float64)
        assert torch.allclose(face[0].movedim(axis, -1), factor * at)


@pytest.mark.parametrize("flowing", [False, True])
def test_mass_is_kept_within_a_domain_of_any_shape(flowing):
    domain = a_ball(24)
    domain[:, :, 10:14, :] &= torch.rand(1, 24, 4, 24, generator=torch.Generator().manual_seed(0)) > 0.3
    p = ((torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(1)) > 0.7) & domain).float()
    velocity = random_flow(domain) if flowing else still((24, 24, 24))
    diffusion = torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(2)) * 3
    found = Transport(velocity, diffusion, domain).advance(p, torch.ones(1)).x
    assert float((found - p).abs().max()) > 0.3
    assert float(found.sum()) == pytest.approx(float(p.sum()), rel=1e-4)
    assert not found[~domain].any()


def test_a_flow_through_the_boundary_changes_the_mass():
    """The check above can fail: the same potential, not laid to rest at the boundary."""
    domain = a_ball(24)
    velocity = curl_on_faces(random_potential(24) * 60)
    p = a_ball(24, 0.5).float()
    found = Transport(velocity, torch.zeros(1, 24, 24, 24), domain).advance(p, torch.ones(1)).x
    assert not found[~domain].any()
    assert abs(float(found.sum() / p.sum()) - 1) > 0.01


def test_least_and_greatest_value_are_kept():
    domain = a_ball(24)
    p = (a_ball(24, 0.4) * 0.6 + 0.2) * domain
    found = Transport(random_flow(domain), torch.full((1, 24, 24, 24), 0.5), domain).advance(p, torch.ones(1)).x
    assert float(found[domain].min()) > 0.2 - 1e-3 and float(found.max()) < 0.8 + 1e-3
    constant = Transport(random_flow(domain), torch.ones(1, 24, 24, 24), domain).advance(domain * 1.0, torch.ones(1))
    assert torch.allclose(constant.x, domain * 1.0, atol=1e-5)


def test_no_step_exceeds_the_cfl_limit_and_each_row_has_its_own_time():
    domain = a_ball(16).repeat(2, 1, 1, 1)
    transport = Transport(random_flow(domain), torch.ones(2, 16, 16, 16), domain)
    p = a_ball(16, 0.4).repeat(2, 1, 1, 1).float()
    times = torch.tensor([0.2, 0.7])
    found = transport.advance(p, times)
    assert found.accepted >= float((transport.rates() * times).max()) / CFL
    for row in range(2):
        one = slice(row, row + 1)
        alone = Transport(tuple(face[one] for face in transport.velocity), transport.diffusion[one], domain[one])
        assert torch.allclose(alone.advance(p[row : row + 1], times[row : row + 1]).x[0], found.x[row], atol=2e-3)


def test_the_stencil_of_a_box_says_what_the_equation_says_anywhere():
    """A domain in a corner, another one elsewhere: slopes from the faces, and all that lies outside stays as it is."""
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
    assert torch.allclose(transport.slope(p), expected, atol=1e-5) and expected[1, :, 1].abs().max() > 0.1
    found = transport.advance(p, torch.tensor([0.3, 0.3])).x
    assert torch.equal(found[~domain], p[~domain]) and not torch.equal(found[domain], p[domain])


def test_without_an_open_face_nothing_moves():
    domain = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    domain[0, 2, 2, 2] = True
    transport = Transport(still((4, 4, 4)), torch.ones(1, 4, 4, 4), domain)
    assert float(transport.rates()) == 0
    p = torch.rand(1, 4, 4, 4)
    assert torch.equal(transport.advance(p, torch.ones(1)).x, p)


def test_it_agrees_with_scipy_on_the_same_equation():
    """The same scheme written voxel by voxel, integrated by SciPy's RK45."""
    from scipy.integrate import solve_ivp

    n = 8
    domain = a_ball(n, 1.2)
    velocity = random_flow(domain, 20.0)
    diffusion = torch.rand(1, n, n, n, generator=torch.Generator().manual_seed(0))
    p = a_ball(n, 0.6).float()
    inside, d = domain[0].numpy(), diffusion[0].numpy()
    vs = [v[0].numpy() for v in velocity]

    def slope(t: float, flat: np.ndarray) -> np.ndarray:
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

    peer = solve_ivp(slope, (0, 0.3), p.numpy().ravel().astype(float), rtol=1e-5, atol=1e-7).y[:, -1].reshape(n, n, n)
    found = Transport(velocity, diffusion, domain).advance(p, torch.tensor([0.3]), 1e-5, 1e-7).x[0].numpy()
    assert np.abs(found - p[0].numpy()).max() > 0.1
    assert np.abs(found - peer).max() < 1e-4
