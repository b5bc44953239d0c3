"""Registration via the pseudo-healthy image: what is compared, what is moved, which warnings are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import SlicerSynthReg.healthy.lesion_filled_inputs as lesion_filling
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.healthy.lesion_filled_inputs import lesion_filled_inputs
from SlicerSynthReg.healthy.pipeline import HealthyModel, run_una
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import result_hash, run
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine


@pytest.fixture
def displacement() -> Affine:
    """RAS of the head -> RAS of the same head, rotated and shifted."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [6, -4, 9], degrees=True).as_matrix()
    matrix[:3, 3] = [7, -5, 4]
    return Affine(matrix)


def with_lesion(head: Image) -> Image:
    """Return the head with a large dark lesion on the posterior left."""
    at = head.grid.index_to_world(np.argwhere(np.ones(head.grid.shape)))
    hole = (np.linalg.norm(at - [-25, -28, 0], axis=1) < 24).reshape(head.grid.shape)
    return Image(torch.where(torch.from_numpy(hole)[None], head.data * 0.1 + 11, head.data), head.grid)


@pytest.fixture
def known_lesion(monkeypatch) -> Callable[[Image, Image], None]:
    """Replace the network by one that knows the healthy head and the location of the lesion."""

    def replace(healthy: Image, lesion: Image) -> None:
        def run_known(model, image, config, progress):
            result = run_una(model, healthy, config)
            anomaly = lesion.resampled(result.maps.t1.grid)
            return dataclasses.replace(result, maps=dataclasses.replace(result.maps, anomaly=anomaly))

        monkeypatch.setattr(lesion_filling, "run_una", run_known)

    return replace


def test_each_named_image_is_filled_where_it_has_a_lesion(head_on, ras_grid, identity_network, known_lesion):
    head, model = head_on(ras_grid), HealthyModel(identity_network(), None, 3.0)
    both = lesion_filled_inputs(head, head, "both", model)
    assert torch.equal(both.fixed.data, head.data) and torch.equal(both.moving.data, head.data)
    assert list(both.seconds) == ["lesion filling, fixed", "lesion filling, moving"]
    assert sum("No anomaly was found" in text for text in both.warnings) == 2
    known_lesion(head, Image(torch.ones_like(head.data), ras_grid))
    result = lesion_filled_inputs(head, head, "moving", model)
    assert result.fixed is head and "pseudo-healthy" in result.warnings[0]
    changed = (result.moving.data - head.data).abs()
    span = float(head.data.max() - head.data.min())
    assert float(changed.max()) > 0, "the reconstruction was resampled on the working grid"
    assert float(changed.mean()) < 0.02 * span, "and is the scan, in the scan's own units"


def test_lesion_does_not_bias_the_registration_and_the_scan_itself_is_moved(
    installed_model, known_lesion, head_on, ras_grid, displacement, tmp_path
):
    fixed, healthy = head_on(ras_grid), moved_head(head_on, ras_grid, displacement)
    lesion = with_lesion(healthy)
    known_lesion(healthy, Image(((lesion.data - healthy.data).abs() > 1).float(), ras_grid))
    for name, image in (("fixed", fixed), ("lesion", lesion)):
        write_image(image, tmp_path / f"{name}.nii.gz")
    at = fixed.grid.index_to_world(np.argwhere(fixed.data[0].numpy() > 300)[::50])

    def error(sides: str) -> float:
        request = Request(
            "register",
            {"fixed": str(tmp_path / "fixed.nii.gz"), "moving": str(tmp_path / "lesion.nii.gz")},
            str(tmp_path / sides),
            {"model": "none", "fill_lesions": sides, "healthy_model": "una-test", "preset": "fast"},
        )
        result = run(request)
        difference = read_transform(result.outputs["forward"]).map_points(at) - displacement.map_points(at)
        if sides == "moving":
            assert "pseudo-healthy" in result.warnings[0]
            dark = read_image(result.outputs["moved"]).data[0][fixed.data[0] > 300] < 100
            assert 0.03 < float(dark.float().mean()) < 0.3, "the moved image contains the lesion"
        return float(np.linalg.norm(difference, axis=1).mean())

    direct, filled = error("none"), error("moving")
    assert filled < 0.7 * direct and filled < 2.0


def moved_head(head_on, ras_grid: Grid, transform: Affine) -> Image:
    """Return the head moved by `transform`: its value at transform(x) is the head's at x."""
    moved = Grid(ras_grid.shape, transform.inverse().matrix @ ras_grid.affine)
    return Image(head_on(moved).data, ras_grid)


def test_result_hash_depends_on_the_sides_and_the_healthy_model(installed_model, head_on, ras_grid, tmp_path):
    write_image(head_on(ras_grid), tmp_path / "head.nii.gz")
    pair = {"fixed": str(tmp_path / "head.nii.gz"), "moving": str(tmp_path / "head.nii.gz")}

    def hashed(**parameters: str) -> str:
        return result_hash(Request("register", pair, str(tmp_path / "out"), {"model": "none", **parameters}))

    assert hashed() != hashed(fill_lesions="moving", healthy_model="una-test")
    with pytest.raises(RequestError) as refused:
        hashed(fill_lesions="moving", healthy_model="gone")
    assert refused.value.code == "model-missing"
