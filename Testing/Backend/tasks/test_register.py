"""Whole registrations of real anatomy: the MNI152 template against a T2-like, turned, deformed copy of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.spatial.transform import Rotation

pytest.importorskip("nilearn", reason="the template comes with nilearn (extra 'demo')")

from SlicerSynthReg.demo import Pair, make_pair, write_pair
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.volume.landmarks import read_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.volume import Volume, VolumeError


@pytest.fixture(scope="module")
def a_head_and_its_t2_like_deformed_copy() -> Pair:
    return make_pair(spacing=3.0)


@pytest.fixture(scope="module")
def a_whole_registration(a_head_and_its_t2_like_deformed_copy, tmp_path_factory) -> tuple[dict[str, str], Result]:
    folder = tmp_path_factory.mktemp("pair")
    inputs = write_pair(a_head_and_its_t2_like_deformed_copy, folder)
    return inputs, run(Request("register", inputs, str(folder / "result"), {"model": "none"}))


def test_the_known_answer_is_found(a_whole_registration):
    _, result = a_whole_registration
    assert result.report["tre_before"] > 15
    assert result.report["tre_after"] < 3.0, "one voxel of these coarse images"
    assert result.report["dice_after"] > result.report["dice_before"] + 0.25


def test_the_map_neither_folds_nor_loses_its_way_back(a_whole_registration):
    _, result = a_whole_registration
    assert result.report["folding_share"] < 1e-5
    assert result.report["inverse_consistency_vox_mean"] < 0.1


def test_itk_makes_our_moved_image_from_our_transform_file(a_whole_registration):
    inputs, result = a_whole_registration
    fixed, moving = (sitk.ReadImage(inputs[name], sitk.sitkFloat32) for name in ("fixed", "moving"))
    by_itk = sitk.GetArrayFromImage(
        sitk.Resample(moving, fixed, sitk.ReadTransform(result.outputs["forward"]), sitk.sitkLinear, 0.0)
    )
    by_itk = torch.from_numpy(by_itk.transpose(2, 1, 0).copy())
    fixed_grid, moving_grid = (read_volume(inputs[name]).grid for name in ("fixed", "moving"))
    ours = read_volume(result.outputs["moved"]).data[0]
    every = np.argwhere(np.ones(fixed_grid.shape))
    there = moving_grid.world_to_index(
        read_transform(result.outputs["forward"]).map_points(fixed_grid.index_to_world(every))
    )
    within = np.all((there >= 0) & (there <= np.array(moving_grid.shape) - 1), axis=1)
    within = torch.from_numpy(within.reshape(fixed_grid.shape))
    assert within.float().mean() > 0.3
    assert float((by_itk - ours)[within].abs().max()) < 1e-3 * float(ours.max())
    by_header = read_volume(inputs["moving"]).resampled(fixed_grid).data[0]
    assert float((by_header - ours)[within].abs().mean()) > 0.05 * float(ours.max()), "the transform must matter"


def test_moved_landmarks_come_by_the_inverse_file(a_whole_registration):
    inputs, result = a_whole_registration
    moving = read_landmarks(inputs["moving_landmarks"]).points_mm
    moved = read_landmarks(result.outputs["moved_landmarks"]).points_mm
    np.testing.assert_allclose(read_transform(result.outputs["inverse"]).map_points(moving), moved, atol=1e-3)
    fixed = read_landmarks(inputs["fixed_landmarks"]).points_mm
    assert np.linalg.norm(moved - fixed, axis=1).mean() < 3.5


def test_labels_move_without_inventing_any(a_whole_registration):
    inputs, result = a_whole_registration
    before = read_volume(inputs["moving_labels"], "labels")
    after = read_volume(result.outputs["moved_labels"], "labels")
    assert set(after.data.unique().tolist()) == set(before.data.unique().tolist())


def test_every_promised_file_is_there(a_whole_registration):
    _, result = a_whole_registration
    names = {"moved", "moved_labels", "moved_landmarks", "forward", "inverse", "jacobian", "picture", "page", "record"}
    assert names <= set(result.outputs)
    page = Path(result.outputs["page"]).read_text(encoding="utf-8")
    assert "not for diagnosis" in page.lower()


@pytest.mark.parametrize("degrees", [(45, 0, 0), (0, -30, 30)])
def test_raw_starts_far_apart_are_found(a_head_and_its_t2_like_deformed_copy, degrees):
    """The moving head turned and 60 mm away, by its header alone; mirrored anatomy would pass no landmark test."""
    pair = a_head_and_its_t2_like_deformed_copy
    away = np.eye(4)
    away[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    away[:3, 3] = (35.0, -35.0, 33.0)
    fixed = pair.fixed
    moving = Volume(fixed.data * 0.5, Grid(fixed.grid.shape, away @ fixed.grid.affine))
    found = align(None, 3.0, fixed, moving, AlignmentConfig(affine_only=True))
    points = pair.fixed_points.points_mm
    there = points @ away[:3, :3].T + away[:3, 3]
    assert np.linalg.norm(found.transform.map_points(points) - there, axis=1).mean() < 1.0


def test_an_image_of_a_few_voxels_is_refused(a_head_and_its_t2_like_deformed_copy):
    crumb = Volume(torch.rand(1, 4, 40, 40), Grid((4, 40, 40), np.diag([3.0, 3.0, 3.0, 1.0])))
    with pytest.raises(VolumeError, match="Found an image of 12 x 120 x 120 mm, expected at least 24 mm"):
        align(None, 3.0, a_head_and_its_t2_like_deformed_copy.fixed, crumb, AlignmentConfig())


def test_more_regularisation_means_a_smoother_map(a_head_and_its_t2_like_deformed_copy):
    pair = a_head_and_its_t2_like_deformed_copy
    rough, smooth = (
        align(None, 3.0, pair.fixed, pair.moving, AlignmentConfig(regularization=weight)) for weight in (0.5, 8.0)
    )

    def unevenness(alignment) -> float:
        return float(torch.stack([alignment.velocity.v_vox.diff(dim=d).square().mean() for d in (1, 2, 3)]).sum())

    assert unevenness(smooth) < 0.5 * unevenness(rough)
