"""The apply command, on oblique, anisotropic, left-handed grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks, read_landmarks, write_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.inverse_points import inverse_points
from SlicerSynthReg.spatial.transform import Affine, Composite, Displacement


def grid(shape, angles, spacing, origin) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = origin
    return Grid(shape, affine)


@pytest.fixture
def fixed() -> Grid:
    return grid((24, 20, 16), [17, -23, 41], [2.0, -2.5, 3.0], [12, -41, 88])


@pytest.fixture
def transform(fixed) -> Displacement:
    """A displacement field: shift of 200 mm out of the fixed grid, rotation, deformation."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("zyx", [25, 10, -5], degrees=True).as_matrix()
    turn[:3, 3] = fixed.center_mm + [200, 0, 0] - turn[:3, :3] @ fixed.center_mm
    i, j, k = np.meshgrid(*(np.arange(n) for n in fixed.shape), indexing="ij")
    bend = np.stack([np.sin(0.3 * j), 0.8 * np.cos(0.25 * k), 0.5 * np.sin(0.2 * i)]).astype(np.float32)
    return Composite((Displacement(torch.from_numpy(bend), fixed), Affine(turn))).on(fixed)


def test_inverse_points_are_found_beyond_the_field(fixed, transform):
    inside = fixed.index_to_world(np.random.default_rng(0).uniform(2, 13, (40, 3)))
    found, sure = inverse_points(transform.map_points(inside), transform, fixed)
    assert sure.all() and np.abs(found - inside).max() < 0.02
    assert not inverse_points(fixed.center_mm[None] + [0, 400, 0], transform, fixed)[1].any()


def test_image_labels_and_landmarks_move_consistently(fixed, transform, tmp_path):
    center = transform.map_points(fixed.center_mm[None])[0]
    moving = grid((30, 28, 26), [-8, 12, 30], [-2.0, 2.2, 2.4], [0, 0, 0])
    affine = moving.affine.copy()
    affine[:3, 3] = center - affine[:3, :3] @ ((np.array(moving.shape) - 1) / 2)
    moving = Grid(moving.shape, affine)
    places = fixed.index_to_world(np.array([[8.0, 7.0, 6.0], [15.0, 12.0, 9.0]]))
    there = transform.map_points(places)
    world = moving.index_to_world(
        np.stack(np.meshgrid(*map(np.arange, moving.shape), indexing="ij"), -1).reshape(-1, 3)
    )
    distance = np.linalg.norm(world[:, None] - there, axis=-1)
    balls = (np.exp(-((distance / 6) ** 2)) * [1.0, 2.0]).sum(1).reshape(1, *moving.shape).astype(np.float32)
    near = np.where(distance.min(1) < 8, distance.argmin(1) + 1, 0).reshape(1, *moving.shape)
    write_image(Image(torch.from_numpy(balls), moving), tmp_path / "image.nii.gz")
    write_image(Image(torch.from_numpy(near), moving, "labels"), tmp_path / "labels.nii.gz")
    write_image(Image(torch.rand(1, *fixed.shape), fixed), tmp_path / "reference.nii.gz")
    write_landmarks(Landmarks(there, ("one", "two")), tmp_path / "landmarks.csv")
    write_transform(transform, tmp_path / "transform.h5", fixed, moving)
    names = ("image", "labels", "reference")
    inputs = {name: str(tmp_path / f"{name}.nii.gz") for name in names}
    inputs.update({"landmarks": str(tmp_path / "landmarks.csv"), "transform": str(tmp_path / "transform.h5")})
    result = run(Request("apply", inputs, str(tmp_path / "out")))
    assert result.warnings == []
    image = read_image(result.outputs["image"])
    assert image.grid.same_as(fixed) and np.unravel_index(int(image.data[0].argmax()), fixed.shape) == (15, 12, 9)
    labels = read_image(result.outputs["labels"], "labels").data[0]
    assert (int(labels[8, 7, 6]), int(labels[15, 12, 9])) == (1, 2)
    moved = read_landmarks(result.outputs["landmarks"])
    assert moved.labels == ("one", "two") and np.abs(moved.points_mm - places).max() < 0.02
    backwards = {**inputs, "landmarks": str(Path(result.outputs["landmarks"]))}
    sent = run(Request("apply", backwards, str(tmp_path / "sent"), {"inverse_landmarks": True}))
    assert np.abs(read_landmarks(sent.outputs["landmarks"]).points_mm - there).max() < 0.02


def test_missing_inputs_and_invalid_transforms_are_refused(fixed, tmp_path):
    write_image(Image(torch.rand(1, *fixed.shape), fixed), tmp_path / "image.nii.gz")
    inputs = {"transform": str(tmp_path / "image.nii.gz"), "reference": str(tmp_path / "image.nii.gz")}
    with pytest.raises(RequestError) as refused:
        run(Request("apply", inputs, str(tmp_path / "out")))
    assert refused.value.code == "nothing-to-move"
    with pytest.raises(RequestError, match=r"Input transform \(image.nii.gz\): Found shape .*expected"):
        run(Request("apply", {**inputs, "image": inputs["reference"]}, str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
