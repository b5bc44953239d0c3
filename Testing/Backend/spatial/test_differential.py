from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.spatial.differential import diffusion_energy, gradient, jacobian_determinant
from SlicerSynthReg.spatial.grid import index_lattice


def folded(u_vox: torch.Tensor) -> float:
    """Fraction of voxels with a Jacobian determinant <= 0."""
    return float((jacobian_determinant(u_vox) <= 0).float().mean())


def test_the_gradient_of_a_quadratic_is_exact_inside_and_one_sided_at_the_faces():
    i, j, k = index_lattice((5, 6, 7))
    f = (i**2 + 3 * j * k - 2 * k**2)[None, None]
    slope = gradient(f)
    assert slope.shape == (1, 1, 3, 5, 6, 7)
    inner = (..., slice(1, -1), slice(1, -1), slice(1, -1))
    expected = torch.stack([2 * i, 3 * k, 3 * j - 4 * k])
    assert torch.allclose(slope[0, 0][inner], expected[inner], atol=1e-4)
    assert torch.allclose(slope[0, 0, 0, 0], torch.ones(6, 7), atol=1e-4)  # 1 - 0, not half of it
    assert torch.allclose(slope[0, 0, 0, -1], torch.full((6, 7), 7.0), atol=1e-4)  # 16 - 9


def test_axes_of_one_and_two_voxels():
    slope = gradient(torch.tensor([1.0, 4.0]).view(1, 1, 1, 2, 1))
    assert slope[0, 0, :, 0, :, 0].tolist() == [[0, 0], [3, 3], [0, 0]]


def test_every_channel_and_element_has_its_own_slope():
    field = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    slopes = gradient(field)
    for b in range(2):
        for c in range(3):
            assert torch.equal(slopes[b, c], gradient(field[b : b + 1, c : c + 1])[0, 0])


def test_the_jacobian_of_a_linear_map_is_its_determinant():
    m = torch.tensor([[0.3, -0.2, 0.5], [0.1, -0.4, 0.2], [-0.3, 0.6, 0.1]])
    u = torch.einsum("ab,bijk->aijk", m, index_lattice((5, 6, 7)))[None]
    expected = float(torch.linalg.det(torch.eye(3) + m))
    assert abs(expected - float(torch.linalg.det(m))) > 0.3  # of x + u, not of u
    assert torch.allclose(jacobian_determinant(u), torch.full((1, 5, 6, 7), expected), atol=1e-4)


def test_folding_is_found_where_neighbours_change_places_and_nowhere_else():
    u = torch.zeros(1, 3, 9, 4, 4)
    i = torch.arange(9.0)
    u[0, 0] = (0.9 * (4 - i).clamp(-2, 2))[:, None, None]
    assert folded(u) == 0  # compressed to a tenth, in order
    u[0, 0] = (1.1 * (4 - i).clamp(-2, 2))[:, None, None]
    assert folded(u) == pytest.approx(3 / 9)  # centres 3, 4, 5 run backwards; 2 and 6 on average do not
    u[0, 1] = u[0, 0].clone()
    assert folded(u) == pytest.approx(3 / 9)  # shearing along adds none


def test_a_mirror_and_a_collapse_fold_everywhere():
    u = torch.zeros(1, 3, 5, 5, 5)
    u[0, 2] = -2 * torch.arange(5.0)
    assert folded(u) == 1
    u[0, 2] = -torch.arange(5.0)
    assert folded(u) == 1  # determinant 0 counts


def test_diffusion_energy_by_hand():
    field = torch.arange(8.0).view(1, 1, 2, 2, 2)
    assert float(diffusion_energy(field)) == pytest.approx((16 + 4 + 1) / 3)
    assert float(diffusion_energy(field + 100)) == pytest.approx((16 + 4 + 1) / 3)
    assert float(diffusion_energy(torch.cat([field, 0 * field], 1))) == pytest.approx((16 + 4 + 1) / 6)
