"""Transforms of points and images: order, inverses, dense sampling, and the direction of the pull."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.spatial.transform import (
    Affine,
    Composite,
    Displacement,
    Transform,
    Velocity,
    reorient_vectors,
    resample,
)
from Testing.Backend.refusals import refused


def affine(rotation=(0.0, 0.0, 0.0), shift=(0.0, 0.0, 0.0), scale=1.0) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_euler("xyz", rotation, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return Affine(matrix)


def composed(first: torch.Tensor, second: torch.Tensor, grid: Grid) -> torch.Tensor:
    """(3, I, J, K) displacement of x -> second(first(x)), in voxels of `grid`."""
    return Composite((Displacement(first, grid), Displacement(second, grid))).on(grid).u_vox


@pytest.fixture
def each_kind_of_transform(an_oblique_anisotropic_left_handed_grid, a_smooth_velocity_on) -> dict[str, Transform]:
    grid = an_oblique_anisotropic_left_handed_grid
    v = a_smooth_velocity_on(grid)
    bent, flow = Displacement(0.5 * v, grid), Velocity(v, grid)
    turn = affine((4, -3, 5), (2.0, -1.5, 1.0), 1.05)
    return {
        "affine": turn,
        "displacement": bent,
        "velocity": flow,
        "composite": Composite((turn, flow, bent)),
        "nested": Composite((bent, Composite((flow, turn)))),
    }


KINDS = ("affine", "displacement", "velocity", "composite", "nested")


def test_a_composite_applies_its_first_part_first():
    quarter, shift = affine((0, 0, 90)), affine(shift=(10, 0, 0))
    point = np.array([[1.0, 0.0, 0.0]])
    assert Composite((quarter, shift)).map_points(point)[0] == pytest.approx([10, 1, 0])
    assert Composite((shift, quarter)).map_points(point)[0] == pytest.approx([0, 11, 0])


def test_a_dense_composite_keeps_the_order(
    each_kind_of_transform, an_oblique_anisotropic_left_handed_grid, the_voxels_of
):
    grid = an_oblique_anisotropic_left_handed_grid
    inner = grid.cropped((4, 4, 3), (13, 10, 8))
    quarter, flow = affine((0, 0, 25)), each_kind_of_transform["velocity"]
    points = the_voxels_of(inner)
    forth, back = (Composite(parts) for parts in ((quarter, flow), (flow, quarter)))
    by_hand = flow.map_points(quarter.map_points(points))
    assert np.abs(mapped_by(forth.on(inner), points) - by_hand).max() < 0.01
    assert np.abs(mapped_by(back.on(inner), points) - by_hand).max() > 1


def mapped_by(dense: Displacement, points: np.ndarray) -> np.ndarray:
    """Where a dense transform sends its own voxels, from its array alone."""
    return points + (dense.u_vox.flatten(1).T.double().numpy() @ dense.grid.affine[:3, :3].T)


@pytest.mark.parametrize("kind", KINDS)
def test_dense_on_another_grid_agrees_with_map_points(
    kind, each_kind_of_transform, an_oblique_anisotropic_left_handed_grid, a_grid_of, the_voxels_of
):
    """The other grid is larger than the transform's: its outer voxels are beyond the field."""
    transform = each_kind_of_transform[kind]
    target = a_grid_of((12, 15, 17), (3.0, 3.5, 2.8), an_oblique_anisotropic_left_handed_grid.center_mm)
    points = the_voxels_of(target)
    expected = transform.map_points(points)
    assert np.abs(expected - points).max() > 1
    dense = transform.on(target)
    assert dense.grid is target
    assert np.abs(mapped_by(dense, points) - expected).max() < 2e-3


@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_returns_every_point(
    kind, each_kind_of_transform, an_oblique_anisotropic_left_handed_grid, the_voxels_of
):
    transform = each_kind_of_transform[kind]
    points = the_voxels_of(an_oblique_anisotropic_left_handed_grid.cropped((5, 5, 4), (12, 9, 7)))
    there = transform.map_points(points)
    moved = np.linalg.norm(there - points, axis=1).max()
    back = transform.inverse().map_points(there)
    tolerance = 1e-9 if kind == "affine" else 0.08 * an_oblique_anisotropic_left_handed_grid.spacing.max()
    assert np.linalg.norm(back - points, axis=1).max() < tolerance < 0.2 * moved


def test_the_inverse_of_a_composite_is_reversed_not_only_inverted(each_kind_of_transform):
    parts = (affine((0, 0, 30)), affine(shift=(10, 0, 0)))
    points = np.array([[1.0, 2.0, 3.0]])
    there = Composite(parts).map_points(points)
    assert np.allclose(Composite(parts).inverse().map_points(there), points)
    unreversed = Composite(tuple(part.inverse() for part in parts))
    assert np.abs(unreversed.map_points(there) - points).max() > 2


def test_the_inverse_of_a_displacement_is_a_fixed_point_not_the_negative(a_grid_of, a_smooth_velocity_on):
    grid = a_grid_of((20, 20, 20))
    u = a_smooth_velocity_on(grid, 1.5)
    w = Displacement(u, grid).inverse().u_vox
    assert composed(w, u, grid).abs().max() < 5e-3
    assert composed(-u, u, grid).abs().max() > 0.2


def test_the_inverse_of_a_steep_displacement_converges_by_its_damping(a_grid_of):
    """At its middle u grows by 1.2 a voxel: undamped, each iteration would magnify the error by that."""
    grid = a_grid_of((25, 3, 3))
    i = torch.arange(25.0)
    u = torch.zeros(3, 25, 3, 3)
    u[0] = (1.2 * (i - 12) * torch.exp(-(((i - 12) / 5) ** 2)))[:, None, None]
    w = Displacement(u, grid).inverse(60).u_vox
    assert composed(w, u, grid).abs().max() < 0.01


def test_a_displacement_moves_nothing_outside_its_grid(a_grid_of):
    grid, wide = a_grid_of((3, 3, 3)), a_grid_of((7, 3, 3))
    push = Displacement(torch.ones(3, 3, 3, 3), grid)
    points = np.array([[1.4, 0, 0], [1.6, 0, 0], [0, -1.6, 0], [0, 0, 40.0]])
    assert push.map_points(points) - points == pytest.approx(np.array([[1, 1, 1], [0] * 3, [0] * 3, [0] * 3]))
    along = push.on(wide).u_vox[0, :, 1, 1]
    assert along.tolist() == pytest.approx([0, 0, 1, 1, 1, 0, 0])
    twice = Composite((push, push)).on(wide).u_vox[0, :, 1, 1]
    assert twice[2].item() == pytest.approx(2) and twice[4].item() == pytest.approx(1)  # led out, it stays


def test_a_composite_within_a_composite_is_followed_off_the_grid_it_is_sampled_on(a_grid_of):
    grid, shift = a_grid_of((10, 3, 3)), affine(shift=(6, 0, 0))
    nested = Composite((shift, Composite((shift,))))
    assert nested.on(grid).u_vox[0].unique().tolist() == [12]  # sampled on the grid first, the outer voxels get 6


def test_reorient_vectors_keeps_the_vector_and_changes_its_coordinates(
    an_oblique_anisotropic_left_handed_grid, a_grid_of
):
    source, target = an_oblique_anisotropic_left_handed_grid, a_grid_of((4, 4, 4), (2.0, 1.0, 0.5))
    u = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    found = reorient_vectors(u, source, target)
    mm = source.affine[:3, :3] @ u.double().numpy()
    assert np.allclose(found.numpy(), mm / np.array([[2.0], [1.0], [0.5]]), atol=1e-5)
    assert torch.allclose(reorient_vectors(found, target, source), u, atol=1e-5)


def test_a_composite_applies_its_second_field_where_the_first_one_leads(a_grid_of):
    grid = a_grid_of((16, 16, 16))
    first = torch.tensor([2.0, 0, 0]).view(3, 1, 1, 1).expand(3, *grid.shape)
    second = torch.zeros(3, *grid.shape)
    second[1] = 0.1 * index_lattice(grid.shape)[0]
    assert composed(first, second, grid)[:, 5, 5, 5].tolist() == pytest.approx([2, 0.7, 0])  # second sampled at 5 + 2
    assert composed(second, first, grid)[:, 5, 5, 5].tolist() == pytest.approx([2, 0.5, 0])


def test_resampling_pulls(a_grid_of):
    """moved(x) = moving(T(x)): T adds 3 mm, so what lay at 3 is seen at 0 (pushed, it would be at 6)."""
    grid = a_grid_of((13, 5, 5))
    spot = torch.zeros(1, 13, 5, 5)
    spot[0, 9, 2, 2] = 1
    shift = affine(shift=(3, 0, 0))
    for transform in (shift, shift.on(grid), Composite((shift,))):
        seen = resample(spot, grid, grid, transform)
        assert seen[0, 6, 2, 2].item() == pytest.approx(1, abs=1e-5)
        assert seen.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_ramp_seen_through_a_transform_is_the_ramp_where_the_transform_leads(
    kind, each_kind_of_transform, an_oblique_anisotropic_left_handed_grid, a_grid_of, a_ramp_on, the_voxels_of
):
    source = a_grid_of((40, 40, 40), (1.5, 1.6, 1.7), an_oblique_anisotropic_left_handed_grid.center_mm)
    target = an_oblique_anisotropic_left_handed_grid.cropped((3, 3, 2), (14, 11, 9))
    seen = resample(a_ramp_on(source), source, target, each_kind_of_transform[kind])
    expected = each_kind_of_transform[kind].map_points(the_voxels_of(target)) @ [0.7, -1.3, 0.4] + 5
    assert np.allclose(seen.flatten().numpy(), expected, atol=5e-3)


def test_labels_through_a_dense_transform_stay_labels(a_grid_of, a_smooth_velocity_on):
    grid = a_grid_of((10, 10, 10))
    labels = torch.randint(0, 2, (1, 10, 10, 10), generator=torch.Generator().manual_seed(0)).to(torch.int32) * 1000
    seen = resample(labels, grid, grid, Velocity(a_smooth_velocity_on(grid), grid), mode="nearest")
    assert seen.dtype == torch.int32 and set(seen.unique().tolist()) == {0, 1000}
    assert not torch.equal(seen, labels)


def test_impossible_transforms_say_what_was_found_and_what_expected():
    with refused("singular-matrix"):
        Affine(np.diag([1.0, 1, 0, 1]))
    with refused("displacement-shape"):
        Displacement(torch.zeros(3, 2, 2, 2), Grid((2, 2, 3), np.eye(4)))
