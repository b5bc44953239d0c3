"""The register command on real anatomy: the MNI152 template and a T2-like, rotated, deformed copy of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.spatial.transform import Rotation

pytest.importorskip("nilearn", reason="the template comes with nilearn (extra 'demo')")

from SlicerSynthReg.cli.demo import DemoPair, make_demo_pair, write_pair
from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import read_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, register_brains
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid


@pytest.fixture(scope="module")
def demo_pair() -> DemoPair:
    return make_demo_pair(spacing=3.0)


@pytest.fixture(scope="module")
def completed_run(demo_pair, tmp_path_factory) -> tuple[dict[str, str], Result]:
    folder = tmp_path_factory.mktemp("pair")
    inputs = write_pair(demo_pair, folder)
    return inputs, run(Request("register", inputs, str(folder / "result"), {"model": "none"}))


def test_known_transform_is_recovered(completed_run):
    _, result = completed_run
    assert result.report["landmarks"]["tre_before"] > 15
    assert result.report["landmarks"]["tre_after"] < 3.0, "one voxel of these coarse images"
    assert result.report["overlap"]["dice_after"] > result.report["overlap"]["dice_before"] + 0.25


def test_transform_is_diffeomorphic_and_inverse_consistent(completed_run):
    _, result = completed_run
    assert result.report["transform_quality"]["folding_fraction"] < 1e-5
    assert result.report["transform_quality"]["inverse_consistency_vox_mean"] < 0.1


def test_itk_reproduces_the_moved_image_from_the_transform_file(completed_run):
    inputs, result = completed_run
    fixed, moving = (sitk.ReadImage(inputs[name], sitk.sitkFloat32) for name in ("fixed", "moving"))
    by_itk = sitk.GetArrayFromImage(
        sitk.Resample(moving, fixed, sitk.ReadTransform(result.outputs["forward"]), sitk.sitkLinear, 0.0)
    )
    by_itk = torch.from_numpy(by_itk.transpose(2, 1, 0).copy())
    fixed_grid, moving_grid = (read_image(inputs[name]).grid for name in ("fixed", "moving"))
    ours = read_image(result.outputs["moved"]).data[0]
    every = np.argwhere(np.ones(fixed_grid.shape))
    there = moving_grid.world_to_index(
        read_transform(result.outputs["forward"]).map_points(fixed_grid.index_to_world(every))
    )
    within = np.all((there >= 0) & (there <= np.array(moving_grid.shape) - 1), axis=1)
    within = torch.from_numpy(within.reshape(fixed_grid.shape))
    assert within.float().mean() > 0.3
    assert float((by_itk - ours)[within].abs().max()) < 1e-3 * float(ours.max())
    by_header = read_image(inputs["moving"]).resampled(fixed_grid).data[0]
    assert float((by_header - ours)[within].abs().mean()) > 0.05 * float(ours.max()), "the transform must matter"


def test_moved_landmarks_follow_the_inverse_file(completed_run):
    inputs, result = completed_run
    moving = read_landmarks(inputs["moving_landmarks"]).points_mm
    moved = read_landmarks(result.outputs["moved_landmarks"]).points_mm
    np.testing.assert_allclose(read_transform(result.outputs["inverse"]).map_points(moving), moved, atol=1e-3)
    fixed = read_landmarks(inputs["fixed_landmarks"]).points_mm
    assert np.linalg.norm(moved - fixed, axis=1).mean() < 3.5


def test_moved_labels_contain_no_new_label(completed_run):
    inputs, result = completed_run
    before = read_image(inputs["moving_labels"], "labels")
    after = read_image(result.outputs["moved_labels"], "labels")
    assert set(after.data.unique().tolist()) == set(before.data.unique().tolist())


def test_every_output_is_written(completed_run):
    _, result = completed_run
    names = {"moved", "moved_labels", "moved_landmarks", "forward", "inverse", "jacobian", "picture", "page", "record"}
    assert names <= set(result.outputs)
    page = Path(result.outputs["page"]).read_text(encoding="utf-8")
    assert "not for diagnosis" in page.lower()


@pytest.mark.parametrize("degrees", [(45, 0, 0), (0, -30, 30)])
def test_distant_header_positions_are_registered(demo_pair, degrees):
    """The header rotates the moving head and shifts it by 60 mm."""
    pair = demo_pair
    away = np.eye(4)
    away[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    away[:3, 3] = (35.0, -35.0, 33.0)
    fixed = pair.fixed
    moving = Image(fixed.data * 0.5, Grid(fixed.grid.shape, away @ fixed.grid.affine))
    config = BrainPipelineConfig(spacing_mm=3.0, affine_only=True)
    result = register_brains(RegistrationInputs(fixed, moving), config)
    points = pair.fixed_landmarks.points_mm
    there = points @ away[:3, :3].T + away[:3, 3]
    assert np.linalg.norm(result.transform.map_points(points) - there, axis=1).mean() < 1.0


def test_image_of_few_voxels_is_refused(demo_pair):
    small = Image(torch.rand(1, 4, 40, 40), Grid((4, 40, 40), np.diag([3.0, 3.0, 3.0, 1.0])))
    with pytest.raises(ImageError, match="Found an image of 12 x 120 x 120 mm, expected at least 24 mm") as refused:
        register_brains(RegistrationInputs(demo_pair.fixed, small), BrainPipelineConfig(spacing_mm=3.0))
    assert refused.value.code == "image-small"


def test_larger_regularization_is_smoother(demo_pair):
    pair = demo_pair
    rough, smooth = (
        register_brains(
            RegistrationInputs(pair.fixed, pair.moving), BrainPipelineConfig(spacing_mm=3.0, regularization=weight)
        )
        for weight in (0.5, 8.0)
    )

    def roughness(result) -> float:
        v = result.transform.parts[0].v_vox
        return float(torch.stack([v.diff(dim=d).square().mean() for d in (1, 2, 3)]).sum())

    assert roughness(smooth) < 0.5 * roughness(rough)
