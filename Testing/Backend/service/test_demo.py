"""The demonstration pair and its known transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.cli.demo import DemoPair, error_table, make_demo_pair, run_demo, write_pair
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.landmarks import read_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.request import Result
from SlicerSynthReg.spatial.differential import jacobian_determinant


@pytest.fixture(scope="module")
def pair() -> DemoPair:
    pytest.importorskip("nilearn", reason="needs the extra 'demo'")
    return make_demo_pair(spacing=3.0)


def test_images_lie_apart_on_an_oblique_left_handed_grid(pair):
    before = np.linalg.norm(pair.fixed_landmarks.points_mm - pair.moving_landmarks.points_mm, axis=1)
    assert len(before) == 50 and 15 < before.mean() < 30
    grid = pair.moving.grid
    assert grid.is_left_handed and grid.spacing.max() > 2 * grid.spacing.min()
    assert np.abs(grid.directions).max() < 0.995


def test_known_transform_is_a_diffeomorphism_that_aligns_the_labels(pair):
    bend = pair.transform.parts[0].integrated
    assert float(jacobian_determinant(bend.u_vox[None]).min()) > 0.1
    shift = np.linalg.norm(bend.map_points(pair.fixed_landmarks.points_mm) - pair.fixed_landmarks.points_mm, axis=1)
    assert 2 < shift.mean() < 6 and shift.max() < 12
    back = pair.moving_labels.resampled(pair.fixed.grid, pair.transform).data
    still = pair.moving_labels.resampled(pair.fixed.grid).data
    for label in (2, 3):
        here = pair.fixed_labels.data == label
        dice = [
            float(2 * (here & (seen == label)).sum() / (here.sum() + (seen == label).sum())) for seen in (still, back)
        ]
        assert dice[0] < 0.6 < 0.75 < dice[1]


def test_moving_image_has_t2_contrast(pair):
    seen = pair.moving.resampled(pair.fixed.grid, pair.transform).data
    level = {k: float(seen[pair.fixed_labels.data == k].median()) for k in (2, 3)}
    assert level[3] < 0.8 * level[2]
    first = {k: float(pair.fixed.data[pair.fixed_labels.data == k].median()) for k in (2, 3)}
    assert first[3] > first[2]
    inner = pair.fixed_labels.data[0, 28:38, 35:45, 28:36] == 1
    assert float(seen[0, 28:38, 35:45, 28:36][inner].median()) > level[2]


def test_pair_is_reproducible_and_written_to_disk(pair, tmp_path):
    assert torch.equal(make_demo_pair(spacing=3.0).moving.data, pair.moving.data)
    inputs = write_pair(pair, tmp_path)
    assert read_image(inputs["moving"]).grid.same_as(pair.moving.grid)
    there = read_landmarks(inputs["moving_landmarks"]).points_mm
    assert np.abs(there - pair.transform.map_points(read_landmarks(inputs["fixed_landmarks"]).points_mm)).max() < 1e-3


def test_error_table_names_the_tissues():
    report = {
        "landmarks": {"tre_before": 21.0, "tre_after": 1.25},
        "overlap": {"dice_before": 0.3, "dice_after": 0.9, "per_label": {"2": (0.3, 0.9)}},
    }
    table = error_table(Result({}, report, []))
    assert list(table.columns[0].cells) == ["landmark error, mean (mm)", "Dice, mean", "Dice, grey matter"]
    assert list(table.columns[2].cells) == ["1.25", "0.900", "0.900"]


def test_one_image_alone_is_refused(tmp_path):
    with pytest.raises(RequestError) as refused:
        run_demo(tmp_path, tmp_path / "fixed.nii", None, lambda request: Result({}, {}, []), lambda result: None)
    assert refused.value.code == "image-missing"
