from __future__ import annotations

from collections.abc import Callable
from typing import Optional

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Velocity, resample
from SlicerSynthReg.tasks import choosing
from SlicerSynthReg.tasks.alignment import Alignment, AlignmentConfig
from SlicerSynthReg.tasks.anywhere import AnywhereConfig, align_anywhere
from SlicerSynthReg.tasks.anywhere_scans import CT_WINDOW, coarsened, common_spacing, is_ct
from SlicerSynthReg.tasks.choosing import align_chosen, start_of
from SlicerSynthReg.tasks.parameters import RegisterParameters
from SlicerSynthReg.tasks.prepare import standardised
from SlicerSynthReg.tasks.register_inputs import Inputs
from SlicerSynthReg.volume.landmarks import Landmarks
from SlicerSynthReg.volume.volume import Volume, VolumeError
from Testing.Backend.tasks.trunk import BODY_GRID, ORGANS, hounsfield

Back = Optional[Callable[[np.ndarray], np.ndarray]]


@pytest.fixture
def a_trunk() -> Callable[..., Volume]:
    """Seen on a grid; back: where the trunk shows what lies at a point of the grid's world."""

    def build(back: Back = None, grid: Grid = BODY_GRID, tone: Back = None) -> Volume:
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1).reshape(-1, 3)
        points = grid.index_to_world(index)
        values = hounsfield(points if back is None else back(points))
        values = values if tone is None else tone(values)
        return Volume(torch.from_numpy(values).float().reshape(1, *grid.shape), grid)

    return build


@pytest.fixture
def places() -> np.ndarray:
    return np.array([center for center, _, _ in ORGANS], dtype=float)


@pytest.fixture
def a_breath(a_smooth_velocity_on) -> Velocity:
    return Velocity(a_smooth_velocity_on(BODY_GRID, 1.8), BODY_GRID)


def without_fat_s_place(values: np.ndarray) -> np.ndarray:
    """Another modality: air dark, fat brightest, bone dark, lung dark."""
    return 300 * np.exp(-(((values + 100) / 150) ** 2)) + 100 * np.exp(-(((values - 100) / 90) ** 2))


def inputs(fixed: Volume, moving: Volume, **more) -> Inputs:
    names = [f"{side}_{what}" for what in ("labels", "mask", "landmarks") for side in ("fixed", "moving")]
    return Inputs(fixed=fixed, moving=moving, **{**dict.fromkeys([*names, "initial"]), **more})


def quiet(share: float, text: str) -> None:
    return None


@pytest.mark.parametrize("anatomy", ["ct", "mr-ct"])
def test_a_breath_is_undone_and_the_inverse_leads_back(anatomy, a_trunk, a_breath, places):
    tone = without_fat_s_place if anatomy == "mr-ct" else None
    fixed, moving = a_trunk(tone=tone), a_trunk(a_breath.inverse().map_points)
    found = align_anywhere(fixed, moving, AnywhereConfig(anatomy))
    truth = a_breath.map_points(places)
    before = np.linalg.norm(places - truth, axis=1).mean()
    after = np.linalg.norm(found.transform.map_points(places) - truth, axis=1).mean()
    assert before > 4
    assert after < (0.4 if anatomy == "ct" else 0.75) * before
    there_and_back = found.transform.inverse().map_points(found.transform.map_points(places))
    assert np.linalg.norm(there_and_back - places, axis=1).max() < 0.6  # a twelfth of a voxel


def test_a_header_that_is_far_off_is_made_good(a_trunk, places):
    away = np.eye(4)
    away[:3, :3] = Rotation.from_euler("xyz", (6, -8, 12), degrees=True).as_matrix()
    away[:3, 3] = (400, -250, 300)
    trunk = a_trunk()
    moving = Volume(trunk.data, Grid(BODY_GRID.shape, away @ BODY_GRID.affine))
    found = align_anywhere(trunk, moving, AnywhereConfig("ct", affine_only=True))
    truth = places @ away[:3, :3].T + away[:3, 3]
    assert np.linalg.norm(found.transform.map_points(places) - truth, axis=1).mean() < 4
    assert found.warnings == ()


def test_a_mirrored_image_is_told_and_not_swapped(a_trunk):
    found = align_anywhere(
        a_trunk(), a_trunk(lambda points: points * [-1, 1, 1]), AnywhereConfig("ct", affine_only=True)
    )
    assert np.linalg.det(found.affine[:3, :3]) > 0
    assert any("left and right exchanged" in warning for warning in found.warnings)


def test_landmarks_lead_where_no_search_looks(a_trunk, places):
    away = np.eye(4)
    away[:3, :3] = Rotation.from_euler("xyz", (0, 170, 0), degrees=True).as_matrix()
    trunk = a_trunk()
    moving = Volume(trunk.data, Grid(BODY_GRID.shape, away @ BODY_GRID.affine))
    marks = {
        "fixed_landmarks": Landmarks(places[:4] + [3, -3, 2]),
        "moving_landmarks": Landmarks((places[:4]) @ away[:3, :3].T),
    }
    parameters = RegisterParameters(landmark_start=True, affine_only=True)
    config = AlignmentConfig(affine_only=True)
    found = align_chosen(parameters, None, 2.0, inputs(trunk, moving, **marks), config, quiet)
    truth = places @ away[:3, :3].T
    assert np.linalg.norm(found.transform.map_points(places) - truth, axis=1).mean() < 3


def test_a_mask_off_the_image_or_on_air_is_refused_by_name(a_trunk):
    trunk = a_trunk()
    shifted = BODY_GRID.affine.copy()
    shifted[:3, 3] += 2000
    everything = torch.ones((1, *BODY_GRID.shape), dtype=torch.int16)
    with pytest.raises(VolumeError, match="fixed mask that leaves nothing"):
        mask = Volume(everything, Grid(BODY_GRID.shape, shifted), "labels")
        align_anywhere(trunk, trunk, AnywhereConfig("ct"), fixed_mask=mask)
    corner = torch.zeros((1, *BODY_GRID.shape), dtype=torch.int16)
    corner[:, :4, :4] = 1
    with pytest.raises(VolumeError, match="moving mask that (holds nothing but air|leaves nothing)"):
        align_anywhere(trunk, trunk, AnywhereConfig("ct"), moving_mask=Volume(corner, BODY_GRID, "labels"))


def test_coarsened_keeps_every_block_s_mean_and_place(an_oblique_anisotropic_left_handed_grid, a_ramp_on):
    grid = an_oblique_anisotropic_left_handed_grid
    ramp = a_ramp_on(grid)
    spacing = 2.2 * float(grid.spacing.min())
    small = coarsened(Volume(ramp.reshape(1, *grid.shape).float(), grid), spacing, ct=False)
    assert small.grid.shape != grid.shape
    expected = a_ramp_on(small.grid).reshape(small.grid.shape)
    assert torch.allclose(small.data[0], expected.float(), atol=1e-3 * float(expected.abs().max()))


def test_a_large_ct_is_windowed_before_it_is_made_small():
    large = Volume(torch.full((1, 128, 128, 64), 3000.0), Grid((128, 128, 64), np.eye(4)))
    small = coarsened(large, 4.0, ct=True)
    assert small.grid.shape == (32, 32, 16)
    assert float(small.data.min()) == float(small.data.max()) == CT_WINDOW[1] - CT_WINDOW[0]


def test_the_comparison_is_as_fine_as_the_coarser_image_or_as_the_voxels_allow():
    fine, thick = Grid((512, 512, 800), np.diag([0.8, 0.8, 0.8, 1])), Grid((256, 256, 40), np.diag([1, 1, 8, 1]))
    assert common_spacing(thick, fine, 10**9) == pytest.approx(2.0)
    assert common_spacing(fine, fine, 2_500_000) == pytest.approx(0.8 * (512 * 512 * 800 / 2.5e6) ** (1 / 3))


def test_hounsfield_units_are_recognised_and_nothing_else(a_trunk):
    trunk = a_trunk()
    assert is_ct(trunk)
    assert not is_ct(Volume(trunk.data + 1024, BODY_GRID))
    assert not is_ct(a_trunk(tone=without_fat_s_place))


def test_a_preset_that_the_values_contradict_is_told(a_trunk):
    trunk = a_trunk(tone=without_fat_s_place)
    parameters = RegisterParameters(anatomy="ct", affine_only=True)
    found = align_chosen(parameters, None, 2.0, inputs(trunk, trunk), AlignmentConfig(affine_only=True), quiet)
    assert any("no Hounsfield units" in warning for warning in found.warnings)
    assert np.abs(found.affine - np.eye(4)).max() < 0.5


@pytest.mark.parametrize(
    ("tones", "told"), [((None, None), "both images have Hounsfield units: choose the anatomy ct"),
                        ((without_fat_s_place, None), ""),
                        ((without_fat_s_place, without_fat_s_place), "neither image has Hounsfield units")]
)  # fmt: skip
def test_mr_and_ct_are_one_of_each(tones, told, a_trunk, monkeypatch):
    done = Alignment(Affine(), np.eye(4), None, {}, 0.0, 0.0)
    monkeypatch.setattr(choosing, "align_anywhere", lambda *args, **more: done)
    pair = [a_trunk(tone=tone) for tone in tones]
    found = align_chosen(RegisterParameters(anatomy="mr-ct"), None, 2.0, inputs(*pair), AlignmentConfig(), quiet)
    assert told in " ".join(found.warnings) and bool(found.warnings) == bool(told)


@pytest.mark.parametrize(("anatomy", "engine"), [("brain", "align"), ("ct", "align_anywhere")])
def test_a_full_graphics_card_leaves_the_work_to_the_processor(anatomy, engine, a_trunk, monkeypatch):
    devices = []
    real = getattr(choosing, engine)

    def full(*args, **more):
        config = next(arg for arg in args if hasattr(arg, "device"))
        devices.append(config.device)
        if config.device == "cuda":
            raise torch.cuda.OutOfMemoryError("out of memory")
        return real(*args, **more)

    monkeypatch.setattr(choosing, engine, full)
    trunk = a_trunk()
    config = AlignmentConfig(affine_only=True, device="cuda")
    found = align_chosen(RegisterParameters(anatomy=anatomy), None, 4.0, inputs(trunk, trunk), config, quiet)
    assert devices == ["cuda", "cpu"] and np.abs(found.affine - np.eye(4)).max() < 4
    assert found.warnings[-1] == "The graphics card's memory did not suffice: the processor was used instead."


def test_beyond_a_slanting_ct_lies_air():
    """Water there would be an edge stronger than any of the body's."""
    slanting = BODY_GRID.affine.copy()
    slanting[:3, :3] = Rotation.from_euler("xyz", (0, 0, 30), degrees=True).as_matrix() @ slanting[:3, :3]
    body = Volume(torch.full((1, *BODY_GRID.shape), -1000.0), Grid(BODY_GRID.shape, slanting))
    body.data[:, 10:30, 8:26, 5:20] = 200.0
    scan = standardised(body, None, 6.0)
    corners = scan.image[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert float(corners.max()) == 0 and float(scan.image.max()) == 1
    assert float((scan.image > 0.5).float().mean()) < 0.5, "little but the box is bright"


def test_a_start_from_landmarks_needs_both_lists_and_no_other_start(a_trunk):
    trunk, parameters = a_trunk(), RegisterParameters(landmark_start=True)
    with pytest.raises(RequestError, match="no landmarks in both images"):
        start_of(parameters, inputs(trunk, trunk, fixed_landmarks=Landmarks(np.eye(3))))
    marks = {"fixed_landmarks": Landmarks(np.eye(3) * 50), "moving_landmarks": Landmarks(np.eye(3) * 50)}
    with pytest.raises(RequestError, match="expected one"):
        start_of(parameters, inputs(trunk, trunk, initial=Affine(np.eye(4)), **marks))
    assert start_of(RegisterParameters(), inputs(trunk, trunk, **marks)) is None


def test_beyond_a_ct_there_is_air_and_not_water(a_trunk):
    """0 HU is water: an edge of it about the image would be its strongest feature."""
    air = Volume(torch.full((1, *BODY_GRID.shape), -1000.0), BODY_GRID)
    small = coarsened(air, 13.0, ct=True)
    around = resample(small.data, small.grid, small.grid.cropped((-2, -2, -2), tuple(n + 2 for n in small.grid.shape)))
    assert float(around.abs().max()) == 0
