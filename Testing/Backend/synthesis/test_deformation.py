from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.spatial.differential import jacobian_determinant
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.spatial.transform import apply_matrix
from SlicerSynthReg.synthesis.deformation import (
    DeformationConfig,
    DeformationDraw,
    affine_matrix,
    draw_deformation,
    velocity_field,
    warp_image,
    warp_index,
    warp_labels,
)


def folded(u_vox: torch.Tensor) -> float:
    """Fraction of voxels with a Jacobian determinant <= 0."""
    return float((jacobian_determinant(u_vox) <= 0).float().mean())


STILL = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
IDENTITY = DeformationDraw((), STILL, 5)


def with_linear(linear: np.ndarray, shift: tuple[float, float, float] = (0, 0, 0)) -> DeformationDraw:
    return DeformationDraw((), tuple((*map(float, row), float(t)) for row, t in zip(linear, shift)), 5)


def test_the_identity_samples_every_voxel_at_its_own_index():
    assert torch.equal(warp_index([IDENTITY], (5, 6, 7))[0], index_lattice((5, 6, 7)))


def test_grids_of_two_sizes_share_their_centre_not_their_corner():
    index = warp_index([IDENTITY], (9, 9, 10), (5, 6, 4))[0]
    assert index[:, 0, 0, 0].tolist() == [2, 1.5, 3]
    assert index[:, -1, -1, -1].tolist() == [6, 6.5, 6]


def test_a_rotation_by_90_degrees_by_hand():
    """(x, y) about the centre reads (-y, x)."""
    turn = with_linear(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    index = warp_index([turn], (5, 5, 5))[0]
    assert index[:, 4, 2, 1].tolist() == pytest.approx([2, 4, 1])
    assert index[:, 2, 4, 1].tolist() == pytest.approx([0, 2, 1])


def test_nearest_sampling_returns_existing_labels_or_the_outside_value(seeded):
    config = DeformationConfig((4, 8), 1.5, 5, 30.0, 4.0, 0.2, 0.1, (1.2, 1.6))
    labels = torch.tensor([3, 17, 200], dtype=torch.uint8)[torch.randint(0, 3, (2, 16, 16, 16), generator=seeded(0))]
    generator = seeded(1)
    index = warp_index([draw_deformation(config, generator) for _ in range(2)], (16, 16, 16))
    read = warp_labels(labels, index, outside=9)
    assert read.dtype == torch.uint8 and set(read.unique().tolist()) == {3, 9, 17, 200}
    beyond = ((index < -0.5) | (index >= 15.5)).any(1)
    assert torch.equal(read == 9, beyond)


def test_label_sampling_equals_the_samplers_nearest_neighbour(seeded):
    labels = torch.randint(0, 50, (2, 6, 7, 8), generator=seeded(0), dtype=torch.int32)
    index = torch.rand((2, 3, 5, 5, 5), generator=seeded(1)) * 9 - 1.5
    expected = sample(labels[:, None].float(), index, mode="nearest")[:, 0].int()
    assert torch.equal(warp_labels(labels, index), expected)


def test_a_flip_reverses_its_axis_with_probability_one_half(seeded):
    config = DeformationConfig((), flip_axes=(1,))
    generator = seeded(0)
    draws = [draw_deformation(config, generator) for _ in range(60)]
    signs = [np.sign(np.array(d.matrix)[1, 1]) for d in draws]
    assert 0.3 < np.mean(np.array(signs) < 0) < 0.7
    assert all(np.array(d.matrix)[[0, 2], [0, 2]].tolist() == [1, 1] for d in draws)
    flipped = draws[signs.index(-1.0)]
    labels = torch.randint(0, 9, (1, 4, 5, 6), generator=generator, dtype=torch.uint8)
    assert torch.equal(warp_labels(labels, warp_index([flipped], (4, 5, 6))), labels.flip(2))


def test_zoom_is_the_output_voxel_in_source_voxels_not_its_inverse(seeded):
    record = draw_deformation(DeformationConfig((), zoom=(2.0, 2.0)), seeded(0))
    index = warp_index([record], (20, 20, 20), (10, 10, 10))[0]
    assert torch.allclose(index.diff(dim=1)[0], torch.tensor(2.0))
    assert index[:, 0, 0, 0].tolist() == [0.5, 0.5, 0.5]  # the whole source, block centres


def test_drawn_affines_stay_in_their_ranges(seeded):
    generator = seeded(0)
    shifts, scales, angles = [], [], []
    for _ in range(100):
        shifts.append(np.array(draw_deformation(DeformationConfig((), shift_vox=3.0), generator).matrix)[:, 3])
        scales.append(np.diag(np.array(draw_deformation(DeformationConfig((), scale=0.2), generator).matrix)[:, :3]))
        turn = np.array(draw_deformation(DeformationConfig((), rotation_degrees=30.0), generator).matrix)[:, :3]
        assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) > 0
        angles.append(np.rad2deg(np.arcsin(turn[0, 2])))
    for values, bound, middle in ((shifts, 3, 0), (scales, 0.2, 1), (angles, 30, 0)):
        away = np.array(values) - middle
        assert 0.85 * bound < np.abs(away).max() <= bound and abs(away.mean()) < 0.15 * bound


def test_affine_matrices_of_two_crops_map_to_the_same_source_voxel(seeded):
    """What one crop shows at x, the other shows at inv(P2) P1 x: their readings of the source agree."""
    source, side = (40, 42, 44), (16, 17, 18)
    config = DeformationConfig((), rotation_degrees=15.0, shift_vox=5.0, scale=0.1, shear=0.05)
    generator = seeded(2)
    one, two = (draw_deformation(config, generator) for _ in range(2))
    first_of_second = np.linalg.solve(affine_matrix(one, source, side), affine_matrix(two, source, side))
    i, j, k = index_lattice(source)
    image = (0.3 * i - 0.2 * j + 0.1 * k)[None, None]
    views = [warp_image(image, warp_index([d], source, side)) for d in (one, two)]
    places = torch.tensor([[5.0, 8, 9], [9, 7, 12], [8, 10, 6]]).T
    there = apply_matrix(first_of_second, places)
    assert (there - places).abs().max() > 1
    read_first, read_second = sample(views[0], there[None]), sample(views[1], places[None])
    assert torch.allclose(read_first, read_second, atol=1e-3)
    assert (sample(views[0], places[None]) - read_second).abs().max() > 0.1  # the same voxel is another place


def test_the_displacement_is_applied_before_the_affine_map():
    """x -> A (x + u(x)): a velocity along i, then a quarter turn, reads along j."""
    bent = DeformationDraw(((8, 1.0, 3),), ((0.0, -1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)), 5)
    straight = DeformationDraw(bent.velocity, STILL, 5)
    shape = (12, 12, 12)
    turned, plain = (warp_index([d], shape)[0] for d in (bent, straight))
    u = plain - index_lattice(shape)
    turn_alone = warp_index([with_linear(np.array(bent.matrix)[:, :3])], shape)[0]
    assert torch.allclose(turned - turn_alone, torch.stack([-u[1], u[0], u[2]]), atol=1e-4)


def test_velocity_components_add_up_and_scale_with_their_sd():
    def field(*components: tuple[int, float, int]) -> torch.Tensor:
        return velocity_field([DeformationDraw(components, STILL, 5)], (16, 16, 16))

    a, b = (4, 1.5, 11), (8, 0.5, 12)
    assert field(a).shape == (1, 3, 8, 8, 8)
    assert torch.allclose(field(a, b), field(a) + field(b), atol=1e-6)
    assert torch.allclose(field((4, 3.0, 11)), 2 * field(a))


def test_the_warp_is_smooth_and_does_not_fold(seeded):
    drawn = draw_deformation(DeformationConfig((8, 16), 2.0), seeded(4))
    u = warp_index([drawn], (24, 24, 24)) - index_lattice((24, 24, 24))
    assert u.abs().max() > 1
    assert folded(u) == 0
