"""A registration through the anatomy in health: what is compared, what is moved, what is said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.request import Request, RequestError
from SlicerSynthReg.run import result_hash, run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine
from SlicerSynthReg.tasks import through_healthy
from SlicerSynthReg.tasks.healing import heal
from SlicerSynthReg.tasks.register_inputs import Inputs
from SlicerSynthReg.tasks.through_healthy import in_health
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume


def only(fixed: Volume, moving: Volume, **more: Volume) -> Inputs:
    empty = dict.fromkeys(field.name for field in dataclasses.fields(Inputs))
    return Inputs(**{**empty, "fixed": fixed, "moving": moving, **more})


@pytest.fixture
def lying_elsewhere() -> Affine:
    """World of the head -> world of the same head, turned and shifted."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [6, -4, 9], degrees=True).as_matrix()
    matrix[:3, 3] = [7, -5, 4]
    return Affine(matrix)


def with_a_lesion(head: Volume) -> Volume:
    """A large dark hole at the back of the left."""
    at = head.grid.index_to_world(np.argwhere(np.ones(head.grid.shape)))
    hole = (np.linalg.norm(at - [-25, -28, 0], axis=1) < 24).reshape(head.grid.shape)
    return Volume(torch.where(torch.from_numpy(hole)[None], head.data * 0.1 + 11, head.data), head.grid)


@pytest.fixture
def healed_of(monkeypatch):
    """In place of the network: one that knows the head without its lesion, and where that is."""

    def replace(healthy: Volume, lesion: Volume) -> None:
        def knowing(una, brains, spacing, scan, config, tell):
            found = heal(una, brains, spacing, healthy, config)
            return dataclasses.replace(found, anomaly=lesion.resampled(found.t1.grid))

        monkeypatch.setattr(through_healthy, "heal", knowing)

    return replace


def test_each_side_that_is_named_is_filled_where_it_is_sick(
    a_head_on, upright, a_network_that_returns_the_scan, healed_of
):
    head, network = a_head_on(upright), a_network_that_returns_the_scan()
    given = only(head, head)
    both = in_health(given, "both", network, 3.0, None, "cpu")
    assert both.inputs.fixed is not given.fixed and torch.equal(both.inputs.moving.data, head.data)
    assert [text.split(":")[0] for text in both.warnings] == [
        "Nothing abnormal was found in the fixed scan",
        "Nothing abnormal was found in the moving scan",
    ]
    healed_of(head, Volume(torch.ones_like(head.data), upright))
    found = in_health(given, "moving", network, 3.0, None, "cpu")
    assert found.inputs.fixed is given.fixed and "healthy reconstruction" in found.warnings[0]
    changed = (found.inputs.moving.data - head.data).abs()
    span = float(head.data.max() - head.data.min())
    assert float(changed.max()) > 0, "the reconstruction has gone through the standard grid"
    assert float(changed.mean()) < 0.02 * span, "and is the scan, in the scan's own units"


def test_the_lesion_does_not_pull_and_the_scan_itself_is_moved(
    installed, healed_of, a_head_on, upright, lying_elsewhere, tmp_path
):
    fixed, clean = a_head_on(upright), moved_head(a_head_on, upright, lying_elsewhere)
    sick = with_a_lesion(clean)
    healed_of(clean, Volume(((sick.data - clean.data).abs() > 1).float(), upright))
    for name, volume in (("fixed", fixed), ("sick", sick)):
        write_volume(volume, tmp_path / f"{name}.nii.gz")
    at = fixed.grid.index_to_world(np.argwhere(fixed.data[0].numpy() > 300)[::50])

    def error(which: str) -> float:
        request = Request(
            "register",
            {"fixed": str(tmp_path / "fixed.nii.gz"), "moving": str(tmp_path / "sick.nii.gz")},
            str(tmp_path / which),
            {"through_healthy": which, "healthy_model": "una-test", "preset": "fast"},
        )
        result = run(request)
        wrong = read_transform(result.outputs["forward"]).map_points(at) - lying_elsewhere.map_points(at)
        if which == "moving":
            assert "healthy reconstruction" in result.warnings[0]
            dark = read_volume(result.outputs["moved"]).data[0][fixed.data[0] > 300] < 100
            assert 0.03 < float(dark.float().mean()) < 0.3, "the lesion is in what was moved"
        return float(np.linalg.norm(wrong, axis=1).mean())

    direct, through = error("none"), error("moving")
    assert through < 0.7 * direct and through < 2.0


def moved_head(a_head_on, upright: Grid, there: Affine) -> Volume:
    """The head where `there` takes it: seen at y, it is the head at the place that `there` takes to y."""
    turned = Grid(upright.shape, there.inverse().matrix @ upright.affine)
    return Volume(a_head_on(turned).data, upright)


def test_the_choice_and_its_model_are_part_of_the_result_s_name(installed, a_head_on, upright, tmp_path):
    write_volume(a_head_on(upright), tmp_path / "head.nii.gz")
    both = {"fixed": str(tmp_path / "head.nii.gz"), "moving": str(tmp_path / "head.nii.gz")}

    def named(**parameters: str) -> str:
        return result_hash(Request("register", both, str(tmp_path / "out"), {"model": "none", **parameters}))

    assert named() != named(through_healthy="moving", healthy_model="una-test")
    with pytest.raises(RequestError, match="Found no model named 'gone' for the healthy brain"):
        named(through_healthy="moving", healthy_model="gone")
