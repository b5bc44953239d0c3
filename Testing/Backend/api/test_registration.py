"""The in-memory registration: equal to the file command, for every kind of input."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SlicerSynthReg import apply_transform, register
from SlicerSynthReg.errors import GeometryError, ImageError, RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.registration.trunk import BODY_GRID, ORGANS, hounsfield

QUICK = {"anatomy": "ct", "model": "none", "preset": "fast"}
LANDMARKS_MM = np.array([center for center, _, _ in ORGANS[:4]], dtype=float)
SHIFT_MM = np.array([9.0, -6.0, 12.0])


def trunk_at(shift_mm: np.ndarray) -> tuple[Image, Image]:
    """Return the trunk, moved by `shift_mm`, and labels of air, fat and organs."""
    index = np.stack(np.meshgrid(*map(np.arange, BODY_GRID.shape), indexing="ij"), -1).reshape(-1, 3)
    values = hounsfield(BODY_GRID.index_to_world(index) - shift_mm).reshape(1, *BODY_GRID.shape)
    labels = np.digitize(values, [-500.0, 0.0]).astype(np.int16)
    return Image(torch.from_numpy(values).float(), BODY_GRID), Image(torch.from_numpy(labels), BODY_GRID, "labels")


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> dict[str, str]:
    """Files of two trunks with labels and landmarks: fixed(x) = moving(x + SHIFT_MM)."""
    folder = tmp_path_factory.mktemp("pair")
    inputs = {}
    for name, shift in (("fixed", 0 * SHIFT_MM), ("moving", SHIFT_MM)):
        image, labels = trunk_at(shift)
        inputs |= {name: f"{folder}/{name}.nii.gz", f"{name}_labels": f"{folder}/{name}_labels.nii.gz"}
        inputs[f"{name}_landmarks"] = f"{folder}/{name}.csv"
        write_image(image, inputs[name])
        write_image(labels, inputs[f"{name}_labels"])
        write_landmarks(Landmarks(LANDMARKS_MM + shift), inputs[f"{name}_landmarks"])
    return inputs


@pytest.fixture(scope="module")
def registered(pair):
    return register(**pair, **QUICK)


def test_result_in_memory_equals_the_files_of_the_command(pair, registered, tmp_path):
    result = run(Request("register", pair, str(tmp_path / "out"), QUICK))
    moved = read_image(result.outputs["moved"], allow_degenerate=True)
    torch.testing.assert_close(registered.moved.data, moved.data, atol=1e-4, rtol=1e-6)
    labels = read_image(result.outputs["moved_labels"], "labels", allow_degenerate=True)
    assert registered.moved_labels is not None and torch.equal(registered.moved_labels.data, labels.data)
    for name, transform in (("forward", registered.transform), ("inverse", registered.inverse)):
        by_file = read_transform(result.outputs[name]).map_points(LANDMARKS_MM)
        np.testing.assert_allclose(transform.map_points(LANDMARKS_MM), by_file, atol=1e-3)
    assert result.report["landmarks"] == pytest.approx(registered.report.to_dict()["landmarks"], abs=1e-6)
    assert result.report["overlap"]["dice_after"] == pytest.approx(registered.report.overlap.dice_after, abs=1e-6)


def test_known_shift_is_recovered(registered):
    error = registered.transform.map_points(LANDMARKS_MM) - (LANDMARKS_MM + SHIFT_MM)
    assert np.linalg.norm(error, axis=1).mean() < 0.25 * np.linalg.norm(SHIFT_MM)
    assert registered.report.landmarks.tre_after < 0.25 * registered.report.landmarks.tre_before
    back = registered.inverse.map_points(registered.transform.map_points(LANDMARKS_MM))
    assert np.linalg.norm(back - LANDMARKS_MM, axis=1).max() < 0.6
    assert registered.moved.grid.same_as(registered.fixed.grid) and registered.jacobian.data.shape[0] == 1


@pytest.mark.parametrize("read", [nibabel.load, sitk.ReadImage, read_image])
def test_images_in_memory_equal_paths(pair, registered, read):
    images = {name: read(pair[name]) for name in ("fixed", "moving")}
    result = register(**images, moving_landmarks=LANDMARKS_MM + SHIFT_MM, **QUICK)
    torch.testing.assert_close(result.moved.data, registered.moved.data, atol=0.05, rtol=0)
    assert result.moved_landmarks is not None and result.moved_landmarks.points_mm.shape == (4, 3)
    assert result.report.overlap is None and result.moved_labels is None


def test_result_is_computed_once(registered):
    assert registered.moved is registered.moved and registered.report is registered.report
    assert registered.inverse is registered.inverse and registered.jacobian is registered.jacobian


def test_result_saves_itself(registered, tmp_path):
    outputs = registered.save(tmp_path / "result")
    assert sorted(file.name for file in (tmp_path / "result").iterdir()) == sorted(outputs.values())
    written = (tmp_path / "result" / outputs["record"]).read_text(encoding="utf-8")
    assert RegistrationReport.from_json(written) == registered.report
    without_images = registered.save(tmp_path / "report", images=False)
    assert not {"moved", "jacobian", "moved_labels"} & set(without_images) and "page" in without_images


def test_saved_transform_applied_in_memory_gives_the_moved_image(pair, registered, tmp_path):
    outputs = registered.save(tmp_path)
    moved = apply_transform(pair["moving"], tmp_path / outputs["forward"], pair["fixed"])
    difference = (moved.data - registered.moved.data).abs()
    assert float(difference.mean()) < 1.0, "HU"


def test_initial_transform_may_be_a_matrix(pair):
    start = np.eye(4)
    start[:3, 3] = SHIFT_MM
    result = register(pair["fixed"], pair["moving"], initial_transform=start, affine_only=True, **QUICK)
    assert np.abs(result.transform.matrix[:3, 3] - SHIFT_MM).max() < 3


def test_parameters_and_options_are_combined(pair):
    result = register(pair["fixed"], pair["moving"], parameters=RegisterParameters(**QUICK), affine_only=True)
    assert result.run.parameters.affine_only and result.run.parameters.anatomy == "ct"
    assert result.report.run.parameters["affine_only"] is True


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"anatomi": "ct"}, "unknown-parameter"),
        ({"anatomy": "foot"}, "parameter-value"),
        ({"model": 3}, "parameter-value"),
    ],
)
def test_unknown_options_and_values_are_refused(pair, options, code):
    with pytest.raises(RequestError) as refused:
        register(pair["fixed"], pair["moving"], **options)
    assert refused.value.code == code


def test_inputs_that_do_not_belong_together_are_refused(pair):
    fixed, labels = trunk_at(0 * SHIFT_MM)
    affine = BODY_GRID.affine.copy()
    affine[:3, 3] += 2000.0
    elsewhere = Image(labels.data, Grid(BODY_GRID.shape, affine), "labels")
    other_numbers = Image((labels.data > 0).int() * 7, BODY_GRID, "labels")
    empty = Image(torch.zeros_like(labels.data), BODY_GRID, "labels")
    for inputs, code in (
        ({"fixed_mask": empty}, "mask-empty"),
        ({"moving_labels": elsewhere}, "labels-outside"),
        ({"fixed_labels": labels, "moving_labels": other_numbers}, "labels-disjoint"),
        ({"moving_labels": fixed}, "image-kind"),
    ):
        with pytest.raises(ImageError) as refused:
            register(fixed, fixed, **inputs, **QUICK)
        assert refused.value.code == code
    with pytest.raises(GeometryError):
        register(fixed, fixed, fixed_labels=elsewhere, **QUICK)
    for count in (3, 0):
        with pytest.raises(GeometryError) as unpaired:
            points = {"fixed_landmarks": LANDMARKS_MM, "moving_landmarks": LANDMARKS_MM[:count]}
            register(fixed, fixed, **points, **QUICK)
        assert unpaired.value.code == "landmark-mismatch"
    with pytest.raises(ImageError) as refused:
        register(fixed, 3.0, **QUICK)
    assert refused.value.code == "image-type"
