from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.io.axial_slices import AxialView
from SlicerSynthReg.spatial.grid import Grid


def the_coordinates(grid: Grid) -> torch.Tensor:
    """(3, I, J, K): R, A and S of each voxel."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1).reshape(-1, 3)
    return torch.from_numpy(grid.index_to_world(index).T.reshape(3, *grid.shape))


@pytest.fixture
def coronal_stored_backwards() -> Grid:
    """Axes run to I, L and A: none where the stack wants it."""
    affine = np.array([[0, -0.8, 0, 3], [0, 0, 0.7, 5], [-2.5, 0, 0, 7], [0, 0, 0, 1.0]])
    return Grid((3, 4, 5), affine)


def test_slices_run_up_rows_to_the_right_and_columns_to_the_front(coronal_stored_backwards):
    grid = coronal_stored_backwards
    view = AxialView.of(grid)
    r, a, s = (view.slices(one) for one in the_coordinates(grid))
    assert s.shape == (3, 4, 5)
    assert torch.allclose(s.diff(dim=0), torch.full((2, 4, 5), 2.5, dtype=s.dtype))
    assert torch.allclose(r.diff(dim=1), torch.full((3, 3, 5), 0.8, dtype=s.dtype))
    assert torch.allclose(a.diff(dim=2), torch.full((3, 4, 4), 0.7, dtype=s.dtype))
    assert view.spacing_mm(grid) == pytest.approx((2.5, 0.8, 0.7))


def test_the_stack_goes_back_to_the_volume(coronal_stored_backwards, an_oblique_anisotropic_left_handed_grid):
    for grid in (coronal_stored_backwards, an_oblique_anisotropic_left_handed_grid):
        data = torch.rand(grid.shape)
        view = AxialView.of(grid)
        assert torch.equal(view.unstack(view.slices(data)), data)
