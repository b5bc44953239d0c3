from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.spatial.sampling import (
    PointInterpolator,
    chunks,
    resize,
    resize_displacement,
    sample,
    sample_displaced,
)
from SlicerSynthReg.spatial.transform import Affine, resample


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def test_sampling_at_the_own_lattice_gives_the_image_back():
    image = noise(2, 3, 5, 6, 7)
    index = index_lattice((5, 6, 7)).expand(2, -1, -1, -1, -1)
    assert torch.allclose(sample(image, index), image, atol=1e-5)
    assert torch.equal(sample(image, index, mode="nearest"), image)


def test_channel_c_of_the_index_runs_along_array_axis_c_not_in_reverse():
    image = torch.arange(5.0 * 6 * 7).view(1, 1, 5, 6, 7)
    index = torch.tensor([[4.0, 1.0], [2.0, 5.0], [6.0, 0.0]])[None]
    found = sample(image, index)
    assert found.shape == (1, 1, 2)
    assert found[0, 0].tolist() == pytest.approx([4 * 42 + 2 * 7 + 6, 1 * 42 + 5 * 7 + 0], abs=1e-3)


def test_resampling_to_the_own_grid_changes_nothing(an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid
    data = noise(2, *grid.shape)
    assert torch.allclose(resample(data, grid, grid), data, atol=2e-5)


@pytest.mark.parametrize("target_shape", [(9, 10, 11), (9, 1, 11), (1, 1, 1)])
def test_a_ramp_is_reproduced_from_oblique_to_aligned(
    target_shape, an_oblique_anisotropic_left_handed_grid, a_grid_of, a_ramp_on, the_voxels_of
):
    source = an_oblique_anisotropic_left_handed_grid
    target = a_grid_of(target_shape, (1.7, 1.3, 2.9), source.center_mm)
    index = source.world_to_index(the_voxels_of(target))
    inside = ((index >= 0) & (index <= np.array(source.shape) - 1)).all(1)
    assert inside.mean() > 0.6
    found, expected = resample(a_ramp_on(source), source, target), a_ramp_on(target)
    assert torch.allclose(found.flatten()[inside], expected.flatten()[inside], atol=1e-3)


@pytest.mark.parametrize("thin", [0, 1, 2])
def test_a_source_one_voxel_thick_keeps_its_plane_exactly(thin, an_oblique_anisotropic_left_handed_grid, a_ramp_on):
    grid = an_oblique_anisotropic_left_handed_grid
    low, high = [0, 0, 0], list(grid.shape)
    low[thin], high[thin] = 4, 5
    plane = grid.cropped(tuple(low), tuple(high))
    ramp = a_ramp_on(plane)
    assert torch.allclose(resample(ramp, plane, plane), ramp, atol=1e-3)
    spread = resample(ramp, plane, grid, padding="border")
    assert torch.allclose(spread, ramp.expand_as(spread), atol=1e-3)
    faded = resample(ramp, plane, grid)
    assert torch.allclose(faded.narrow(1 + thin, 4, 1), ramp, atol=1e-3)
    assert faded.narrow(1 + thin, 5, 1).abs().max() < 1e-3  # a whole voxel off the plane there is nothing


def test_zeros_fade_over_one_voxel_and_border_goes_on(a_grid_of):
    source = a_grid_of((3, 3, 3))
    along = Grid((4, 1, 1), np.array([[0.5, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    ones = torch.ones(1, 3, 3, 3)
    assert resample(ones, source, along).flatten().tolist() == pytest.approx([1, 0.5, 0, 0], abs=1e-6)
    assert resample(ones, source, along, padding="border").flatten().tolist() == pytest.approx([1, 1, 1, 1], abs=1e-6)


def test_labels_are_read_nearest_and_never_averaged(a_grid_of):
    labels = torch.tensor([3, 90, 7, 200], dtype=torch.int16).view(1, 4, 1, 1)
    grid = a_grid_of((4, 1, 1))
    shift = np.eye(4)
    for by, expected in ((0.4, [3, 90, 7, 200]), (0.6, [90, 7, 200, 0]), (-0.6, [0, 3, 90, 7])):
        shift[0, 3] = by
        found = resample(labels, grid, grid, Affine(shift), mode="nearest")
        assert found.dtype == torch.int16
        assert found.flatten().tolist() == expected


def test_a_batch_element_is_that_element_alone():
    images, index = noise(3, 2, 5, 6, 7), noise(3, 3, 4, 4, 4) * 2 + 3
    together = sample(images, index)
    for n in range(3):
        assert torch.equal(together[n : n + 1], sample(images[n : n + 1], index[n : n + 1]))


def test_resize_aligns_block_edges_not_corner_centres():
    line = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 4, 1, 1)
    assert resize(line, (2, 1, 1)).flatten().tolist() == [0.5, 2.5]  # corners aligned: 0, 3
    assert resize(line, (8, 1, 1)).flatten().tolist() == pytest.approx([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_a_resized_displacement_is_measured_in_the_new_voxels():
    u = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1, 1).expand(1, 3, 4, 4, 4)
    found = resize_displacement(u, (8, 2, 4))
    assert found.shape == (1, 3, 8, 2, 4)
    assert torch.allclose(found[0, :, 0, 0, 0], torch.tensor([2.0, 1.0, 3.0]))


def test_points_dealt_out_to_threads_are_read_as_by_one(monkeypatch):
    image, index = noise(1, 3, 9, 10, 11), noise(1, 3, 8, 9, 10) * 4 + 4
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = {padding: sample(image, index, padding=padding) for padding in ("zeros", "border")}
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)  # does not divide 720 points: six share them
    monkeypatch.setattr("SlicerSynthReg.spatial.sampling._MIN_POINTS", 100)
    for padding, values in alone.items():
        assert torch.equal(sample(image, index, padding=padding), values)


def test_gradients_pass_through_sampling_of_many_points():
    image, index = noise(1, 1, 12, 12, 12).requires_grad_(), noise(1, 3, 12, 12, 12) * 3 + 5
    sample(image, index, padding="border").sum().backward()
    assert float(image.grad.sum()) == pytest.approx(12**3, rel=1e-4), "each point's weights sum to one"


def test_the_point_reader_reads_what_sample_reads_with_border_padding():
    image, index = noise(5, 6, 2, 8), noise(3, 400) * 6 + 3
    expected = sample(image[None], index[None], padding="border")[0]
    assert torch.allclose(PointInterpolator(image)(index), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 30, 40), (1, 3, 3), (3, 900, 900)])
def test_slabs_cover_the_first_axis_once_and_in_order(shape):
    parts = chunks(shape, voxels=5000)
    assert [n for part in parts for n in range(part.start, part.stop)] == list(range(shape[0]))
    assert all(
        len(range(part.start, part.stop)) * shape[1] * shape[2] <= max(5000, shape[1] * shape[2]) for part in parts
    )


def test_a_displaced_image_in_slabs_is_that_of_the_whole(monkeypatch):
    image, u = noise(1, 2, 9, 8, 7), noise(1, 3, 9, 8, 7)
    lattice = index_lattice((9, 8, 7))
    whole = sample(image, lattice[None] + u, padding="border")
    monkeypatch.setattr("SlicerSynthReg.spatial.sampling.chunks", lambda shape: [slice(0, 4), slice(4, 5), slice(5, 9)])
    assert torch.allclose(sample_displaced(image, u, lattice), whole, atol=1e-6)
