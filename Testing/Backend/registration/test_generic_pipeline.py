"""The generic pipeline and the choice of a pipeline, on a synthetic trunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.errors import ImageError, RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.registration import dispatch
from SlicerSynthReg.registration.brain_pipeline import PipelineResult
from SlicerSynthReg.registration.ct_tissue import CT_WINDOW, block_downsample, common_spacing, is_ct
from SlicerSynthReg.registration.dispatch import run_pipeline, select_initial_transform
from SlicerSynthReg.registration.generic_pipeline import GenericPipelineConfig, register_generic
from SlicerSynthReg.registration.inputs import RegistrationInputs as Inputs
from SlicerSynthReg.registration.preprocessing import normalise_and_resample
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Velocity, resample
from Testing.Backend.registration.trunk import BODY_GRID, ORGANS, hounsfield

Warp = Optional[Callable[[np.ndarray], np.ndarray]]


@pytest.fixture
def trunk_image() -> Callable[..., Image]:
    """Build the trunk on a grid. warp: maps the grid's world to the trunk's. contrast: maps HU to intensities."""

    def build(warp: Warp = None, grid: Grid = BODY_GRID, contrast: Warp = None) -> Image:
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1).reshape(-1, 3)
        points = grid.index_to_world(index)
        values = hounsfield(points if warp is None else warp(points))
        values = values if contrast is None else contrast(values)
        return Image(torch.from_numpy(values).float().reshape(1, *grid.shape), grid)

    return build


@pytest.fixture
def organ_centres() -> np.ndarray:
    return np.array([center for center, _, _ in ORGANS], dtype=float)


@pytest.fixture
def breathing(a_smooth_velocity_on) -> Velocity:
    return Velocity(a_smooth_velocity_on(BODY_GRID, 1.8), BODY_GRID)


def mr_like(values: np.ndarray) -> np.ndarray:
    """Map HU to an MR-like contrast: air, lung and bone dark, fat brightest."""
    return 300 * np.exp(-(((values + 100) / 150) ** 2)) + 100 * np.exp(-(((values - 100) / 90) ** 2))


@pytest.mark.parametrize("anatomy", ["ct", "mr-ct"])
def test_breathing_is_corrected_and_inverse_consistent(anatomy, trunk_image, breathing, organ_centres):
    contrast = mr_like if anatomy == "mr-ct" else None
    fixed, moving = trunk_image(contrast=contrast), trunk_image(breathing.inverse().map_points)
    result = register_generic(Inputs(fixed, moving), GenericPipelineConfig(anatomy))
    truth = breathing.map_points(organ_centres)
    before = np.linalg.norm(organ_centres - truth, axis=1).mean()
    after = np.linalg.norm(result.transform.map_points(organ_centres) - truth, axis=1).mean()
    assert before > 4
    assert after < (0.4 if anatomy == "ct" else 0.75) * before
    round_trip = result.transform.inverse().map_points(result.transform.map_points(organ_centres))
    assert np.linalg.norm(round_trip - organ_centres, axis=1).max() < 0.6  # a twelfth of a voxel


def test_wrong_header_position_is_corrected(trunk_image, organ_centres):
    away = np.eye(4)
    away[:3, :3] = Rotation.from_euler("xyz", (6, -8, 12), degrees=True).as_matrix()
    away[:3, 3] = (400, -250, 300)
    trunk = trunk_image()
    moving = Image(trunk.data, Grid(BODY_GRID.shape, away @ BODY_GRID.affine))
    result = register_generic(Inputs(trunk, moving), GenericPipelineConfig("ct", affine_only=True))
    truth = organ_centres @ away[:3, :3].T + away[:3, 3]
    assert np.linalg.norm(result.transform.map_points(organ_centres) - truth, axis=1).mean() < 4
    assert result.warnings == ()


def test_mirrored_image_is_reported_and_not_flipped(trunk_image):
    mirrored = trunk_image(lambda points: points * [-1, 1, 1])
    result = register_generic(Inputs(trunk_image(), mirrored), GenericPipelineConfig("ct", affine_only=True))
    assert np.linalg.det(result.transform.matrix[:3, :3]) > 0
    assert any("left and right exchanged" in warning for warning in result.warnings)


def test_landmarks_initialise_beyond_the_search_range(trunk_image, organ_centres):
    away = np.eye(4)
    away[:3, :3] = Rotation.from_euler("xyz", (0, 170, 0), degrees=True).as_matrix()
    trunk = trunk_image()
    moving = Image(trunk.data, Grid(BODY_GRID.shape, away @ BODY_GRID.affine))
    marks = {
        "fixed_landmarks": Landmarks(organ_centres[:4] + [3, -3, 2]),
        "moving_landmarks": Landmarks((organ_centres[:4]) @ away[:3, :3].T),
    }
    parameters = RegisterParameters(model="none", landmark_start=True, affine_only=True)
    result = run_pipeline(Inputs(trunk, moving, **marks), parameters, "cpu")
    truth = organ_centres @ away[:3, :3].T
    assert np.linalg.norm(result.transform.map_points(organ_centres) - truth, axis=1).mean() < 3


def test_mask_outside_the_image_or_on_air_is_refused(trunk_image):
    trunk = trunk_image()
    shifted = BODY_GRID.affine.copy()
    shifted[:3, 3] += 2000
    everything = torch.ones((1, *BODY_GRID.shape), dtype=torch.int16)
    outside = Image(everything, Grid(BODY_GRID.shape, shifted), "labels")
    with pytest.raises(ImageError, match="fixed mask") as refused:
        register_generic(Inputs(trunk, trunk, fixed_mask=outside), GenericPipelineConfig("ct"))
    assert refused.value.code == "mask-outside"
    corner = torch.zeros((1, *BODY_GRID.shape), dtype=torch.int16)
    corner[:, :4, :4] = 1
    air = Image(corner, BODY_GRID, "labels")
    with pytest.raises(ImageError, match="moving mask") as refused:
        register_generic(Inputs(trunk, trunk, moving_mask=air), GenericPipelineConfig("ct"))
    assert refused.value.code in ("mask-air", "mask-outside")


def test_block_downsample_preserves_means_and_positions(an_oblique_anisotropic_left_handed_grid, a_ramp_on):
    grid = an_oblique_anisotropic_left_handed_grid
    ramp = a_ramp_on(grid)
    spacing = 2.2 * float(grid.spacing.min())
    small = block_downsample(Image(ramp.reshape(1, *grid.shape).float(), grid), spacing, ct=False)
    assert small.grid.shape != grid.shape
    expected = a_ramp_on(small.grid).reshape(small.grid.shape)
    assert torch.allclose(small.data[0], expected.float(), atol=1e-3 * float(expected.abs().max()))


def test_block_downsample_clips_ct_before_averaging():
    large = Image(torch.full((1, 128, 128, 64), 3000.0), Grid((128, 128, 64), np.eye(4)))
    small = block_downsample(large, 4.0, ct=True)
    assert small.grid.shape == (32, 32, 16)
    assert float(small.data.min()) == float(small.data.max()) == CT_WINDOW[1] - CT_WINDOW[0]


def test_common_spacing_follows_the_coarser_image_or_the_voxel_limit():
    fine, thick = Grid((512, 512, 800), np.diag([0.8, 0.8, 0.8, 1])), Grid((256, 256, 40), np.diag([1, 1, 8, 1]))
    assert common_spacing(thick, fine, 10**9) == pytest.approx(2.0)
    assert common_spacing(fine, fine, 2_500_000) == pytest.approx(0.8 * (512 * 512 * 800 / 2.5e6) ** (1 / 3))


def test_is_ct_recognises_hounsfield_units_only(trunk_image):
    trunk = trunk_image()
    assert is_ct(trunk)
    assert not is_ct(Image(trunk.data + 1024, BODY_GRID))
    assert not is_ct(trunk_image(contrast=mr_like))


def test_anatomy_that_contradicts_the_values_is_reported(trunk_image):
    trunk = trunk_image(contrast=mr_like)
    parameters = RegisterParameters(model="none", anatomy="ct", affine_only=True)
    result = run_pipeline(Inputs(trunk, trunk), parameters, "cpu")
    assert any("not Hounsfield units" in warning for warning in result.warnings)
    assert np.abs(result.transform.matrix - np.eye(4)).max() < 0.5


@pytest.mark.parametrize(
    ("contrasts", "warning"),
    [
        ((None, None), "both images have Hounsfield units. Choose the anatomy ct"),
        ((mr_like, None), ""),
        ((mr_like, mr_like), "neither image has Hounsfield units"),
    ],
)
def test_mr_ct_expects_one_image_of_each(contrasts, warning, trunk_image, monkeypatch):
    result = PipelineResult(Affine(), {}, 0.0, 0.0)
    monkeypatch.setattr(dispatch, "register_generic", lambda *args, **more: result)
    pair = [trunk_image(contrast=contrast) for contrast in contrasts]
    result = run_pipeline(Inputs(*pair), RegisterParameters(anatomy="mr-ct"), "cpu")
    assert warning in " ".join(result.warnings) and bool(result.warnings) == bool(warning)


@pytest.mark.parametrize(("anatomy", "pipeline"), [("brain", "register_brains"), ("ct", "register_generic")])
def test_out_of_memory_on_cuda_repeats_on_cpu(anatomy, pipeline, trunk_image, monkeypatch):
    devices = []
    real = getattr(dispatch, pipeline)

    def limited(*args, **more):
        config = next(arg for arg in args if hasattr(arg, "device"))
        devices.append(config.device)
        if config.device == "cuda":
            raise torch.cuda.OutOfMemoryError("out of memory")
        return real(*args, **more)

    monkeypatch.setattr(dispatch, pipeline, limited)
    trunk = trunk_image()
    parameters = RegisterParameters(model="none", anatomy=anatomy, affine_only=True)
    result = run_pipeline(Inputs(trunk, trunk), parameters, "cuda")
    assert devices == ["cuda", "cpu"] and np.abs(result.transform.matrix - np.eye(4)).max() < 4
    assert "graphics card" in result.warnings[-1]


def test_outside_of_an_oblique_ct_is_air():
    """Water there would form an edge stronger than any of the body's."""
    oblique = BODY_GRID.affine.copy()
    oblique[:3, :3] = Rotation.from_euler("xyz", (0, 0, 30), degrees=True).as_matrix() @ oblique[:3, :3]
    body = Image(torch.full((1, *BODY_GRID.shape), -1000.0), Grid(BODY_GRID.shape, oblique))
    body.data[:, 10:30, 8:26, 5:20] = 200.0
    scan = normalise_and_resample(body, None, 6.0)
    corners = scan.image[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert float(corners.max()) == 0 and float(scan.image.max()) == 1
    assert float((scan.image > 0.5).float().mean()) < 0.5, "little but the box is bright"


def test_landmark_initialisation_needs_both_lists_and_no_initial_transform(trunk_image):
    trunk, parameters = trunk_image(), RegisterParameters(landmark_start=True)
    with pytest.raises(RequestError) as refused:
        select_initial_transform(Inputs(trunk, trunk, fixed_landmarks=Landmarks(np.eye(3))), parameters)
    assert refused.value.code == "landmarks-missing"
    marks = {"fixed_landmarks": Landmarks(np.eye(3) * 50), "moving_landmarks": Landmarks(np.eye(3) * 50)}
    with pytest.raises(RequestError) as refused:
        select_initial_transform(Inputs(trunk, trunk, initial_transform=Affine(np.eye(4)), **marks), parameters)
    assert refused.value.code == "initial-transform-twice"
    assert select_initial_transform(Inputs(trunk, trunk, **marks), RegisterParameters()) is None


def test_outside_of_a_downsampled_ct_is_air(trunk_image):
    """0 HU is water: an edge of it around the image would be its strongest feature."""
    air = Image(torch.full((1, *BODY_GRID.shape), -1000.0), BODY_GRID)
    small = block_downsample(air, 13.0, ct=True)
    around = resample(small.data, small.grid, small.grid.cropped((-2, -2, -2), tuple(n + 2 for n in small.grid.shape)))
    assert float(around.abs().max()) == 0
