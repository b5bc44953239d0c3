from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.grid import Grid, affine_lattice, index_lattice
from Testing.Backend.refusals import refused


@pytest.fixture
def by_hand() -> Grid:
    """i runs to A in steps of 3 mm, j to L in steps of 2 mm, k to S in steps of 5 mm."""
    return Grid((4, 3, 2), np.array([[0, -2, 0, 10], [3, 0, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1.0]]))


def test_index_to_world_by_hand(by_hand):
    assert by_hand.index_to_world(np.array([[1, 2, 3], [0, 0, 0]])).tolist() == [[6, 23, 45], [10, 20, 30]]
    assert by_hand.world_to_index(np.array([[6.0, 23, 45]]))[0] == pytest.approx([1, 2, 3])


def test_spacing_is_a_column_norm_not_a_row_norm(by_hand):
    assert by_hand.spacing.tolist() == [3, 2, 5]
    assert by_hand.directions[:, 0].tolist() == [0, 1, 0]


def test_handedness_center_and_count(by_hand):
    assert not by_hand.is_left_handed
    assert Grid((4, 3, 2), by_hand.affine @ np.diag([1, 1, -1, 1.0])).is_left_handed
    assert by_hand.center_mm.tolist() == [8, 24.5, 32.5]  # not half the extent: (n - 1) / 2 steps
    assert by_hand.voxel_count == 24


def test_there_and_back_on_an_oblique_grid(an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid
    points = np.random.default_rng(0).normal(0, 50, (20, 3))
    assert np.allclose(grid.index_to_world(grid.world_to_index(points)), points, atol=1e-10)
    assert not np.allclose(points @ grid.affine[:3, :3] + grid.affine[:3, 3], grid.index_to_world(points), atol=1)


def test_a_grid_cannot_be_changed_through_the_array_it_was_made_of():
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine)
    affine[0, 3] = 9
    assert grid.affine[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 9


def test_index_to_index_goes_through_the_world_map(by_hand, an_oblique_anisotropic_left_handed_grid):
    other = an_oblique_anisotropic_left_handed_grid
    world = np.eye(4)
    world[:3] = np.random.default_rng(1).normal(size=(3, 4))
    index = np.array([[1.0, 2.0, 0.5]])
    expected = other.world_to_index(by_hand.index_to_world(index) @ world[:3, :3].T + world[:3, 3])
    through = by_hand.index_to_index(other, world)
    assert np.allclose(index @ through[:3, :3].T + through[:3, 3], expected)


def test_resampled_keeps_the_edges_of_the_field_of_view_not_the_first_centre(an_oblique_anisotropic_left_handed_grid):
    source = an_oblique_anisotropic_left_handed_grid
    fine = source.resampled(tuple(source.spacing / [2, 7 / 6, 3]))
    assert fine.shape == (34, 17, 33)  # 14 voxels of 7/6: rounded up
    halves = source.resampled(tuple(source.spacing / 2))
    assert halves.shape == (34, 28, 22)
    found, expected = (g.index_to_world(g.corner_indices()) for g in (halves, source))
    assert np.allclose(found, expected)
    assert np.linalg.norm(halves.index_to_world(np.zeros((1, 3))) - source.affine[:3, 3]) > 1


def test_resampled_to_what_does_not_divide_keeps_the_centre_and_loses_nothing(a_grid_of):
    source = a_grid_of((10, 7, 3), (1.0, 2.0, 3.0), (5, 6, 7))
    coarse = source.resampled(4)
    assert coarse.shape == (3, 4, 3)
    assert coarse.center_mm == pytest.approx(source.center_mm)
    assert coarse.spacing == pytest.approx([4, 4, 4])
    edges, kept = (np.ptp(g.index_to_world(g.corner_indices()), axis=0) for g in (source, coarse))
    assert ((kept >= edges) & (kept < edges + 4)).all()


def test_resampling_to_the_own_spacing_changes_nothing(an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid
    assert grid.resampled(tuple(grid.spacing)).same_as(grid, 1e-9)


def test_scaled_down_centres_are_the_block_means(an_oblique_anisotropic_left_handed_grid, the_voxels_of):
    grid = an_oblique_anisotropic_left_handed_grid
    places = torch.from_numpy(the_voxels_of(grid).T.copy()).view(1, 3, *grid.shape)
    for factor in (2, 3, (2, 3, 1)):
        small = grid.downsampled(factor)
        pooled = F.avg_pool3d(places, factor)[0]
        assert small.shape == tuple(pooled.shape[1:])
        assert np.allclose(the_voxels_of(small), pooled.flatten(1).T.numpy())


def test_cropped_and_padded(an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid
    part = grid.cropped((2, -1, 3), (10, 16, 4))
    assert part.shape == (8, 17, 1)
    assert np.allclose(part.index_to_world(np.array([[0, 1, 0]])), grid.index_to_world(np.array([[2, 0, 3]])))
    grown = grid.padded_to_multiple(8)
    assert grown.shape == (24, 16, 16)
    assert np.array_equal(grown.affine, grid.affine)  # grown at the far end: not one half on either side


def test_same_as_looks_at_every_corner_not_at_the_origin(an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid

    def changed(row: int, column: int, amount: float) -> Grid:
        affine = grid.affine.copy()
        affine[row, column] += amount
        return Grid(grid.shape, affine)

    assert grid.same_as(changed(0, 3, 9e-4)) and not grid.same_as(changed(0, 3, 2e-3))
    assert not grid.same_as(changed(1, 0, 2e-4))  # 16 voxels away that is 3 um
    assert not grid.same_as(grid.cropped((0, 0, 0), (17, 14, 10)))


def test_aligned_to_ras_encloses_and_is_no_larger_than_needed(an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid
    aligned = grid.aligned_to_ras(1.5)
    assert np.array_equal(aligned.affine[:3, :3], 1.5 * np.eye(3))
    corners = aligned.world_to_index(grid.index_to_world(grid.corner_indices()))
    edge = np.array(aligned.shape) - 0.5
    assert (corners > -0.5 - 2e-3).all() and (corners < edge + 2e-3).all()
    assert (corners.min(0) < 0).all() and (corners.max(0) > edge - 0.5).all()


def test_lattices_follow_the_array_axes():
    lattice = index_lattice((2, 3, 4))
    assert lattice[:, 1, 2, 3].tolist() == [1, 2, 3]
    matrix = np.array([[2.0, 0, 0, 1], [0, 0, 3, 0], [0.5, 1, 0, -1], [0, 0, 0, 1]])
    assert affine_lattice(matrix, (2, 3, 4))[:, 1, 2, 3].tolist() == [3, 9, 1.5]


@pytest.mark.parametrize(
    ("shape", "affine", "code"),
    [
        ((3, 0, 2), np.eye(4), "grid-shape"),
        ((3, 2), np.eye(4), "grid-shape"),
        ((3, 3, 3), np.eye(3), "affine-shape"),
        ((3, 3, 3), np.full((4, 4), np.nan), "affine-shape"),
        ((3, 3, 3), np.diag([1.0, 0, 1, 1]), "singular-affine"),
    ],
)
def test_impossible_grids_say_what_was_found_and_what_expected(shape, affine, code):
    with refused(code):
        Grid(shape, affine)


def test_a_foreign_grid_is_named_with_both_geometries(a_grid_of):
    with refused("grid-mismatch", "the mask", "(3, 3, 3)", "(4, 4, 4)"):
        a_grid_of((4, 4, 4)).require_same(a_grid_of((3, 3, 3)), "the mask")
    with refused("spacing"):
        a_grid_of((4, 4, 4)).resampled((1, 0, 1))
