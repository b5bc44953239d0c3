from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.spatial.laplace import laplace_inpaint


@pytest.fixture
def a_slab() -> torch.Tensor:
    """(24, 20, 18) bool: everything between two walls."""
    hole = torch.zeros(24, 20, 18, dtype=torch.bool)
    hole[4:20] = True
    return hole


def test_between_two_walls_it_is_a_straight_ramp(a_slab):
    ramp = torch.linspace(2, 9, 24)[:, None, None].expand(24, 20, 18)
    assert float((laplace_inpaint(ramp, a_slab, sweeps=60) - ramp).abs().max()) < 0.05


def test_what_the_hole_held_is_not_read_and_the_rest_not_touched(a_slab):
    field = torch.rand(24, 20, 18, generator=torch.Generator().manual_seed(0))
    filled = laplace_inpaint(field, a_slab)
    assert torch.equal(filled, laplace_inpaint(torch.where(a_slab, 1e6, field), a_slab))
    assert torch.equal(filled[~a_slab], field[~a_slab])


def test_it_never_leaves_the_range_of_what_surrounds_the_hole(a_slab):
    field = torch.rand(24, 20, 18, generator=torch.Generator().manual_seed(1))
    filled = laplace_inpaint(field, a_slab)[a_slab]
    assert field[~a_slab].min() <= filled.min() and filled.max() <= field[~a_slab].max()
    assert float(filled.std()) < 0.1 * float(field.std()), "noise on the walls does not reach far"


def test_no_hole_changes_nothing_and_nothing_known_is_nothing(a_slab):
    field = torch.rand(24, 20, 18)
    assert torch.equal(laplace_inpaint(field, torch.zeros_like(a_slab)), field)
    assert not laplace_inpaint(field, torch.ones_like(a_slab)).any()
