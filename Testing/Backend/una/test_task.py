"""The healthy task with networks whose answer is known: what it does to grids, sides and edges."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.request import Request, RequestError, Result
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks import healthy
from SlicerSynthReg.tasks.healing import HealingConfig, brain_of, heal, other_side, windowed
from SlicerSynthReg.tasks.prepare import Scan
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.volume.write import write_volume


@pytest.fixture(scope="module")
def an_oblique_left_handed_grid() -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [12, -15, 20], degrees=True).as_matrix() @ np.diag([-2.5, 3.0, 2.0])
    grid = Grid((58, 56, 70), affine)
    affine[:3, 3] = -grid.center_mm
    return Grid(grid.shape, affine)


def ran(volume: Volume, tmp_path, **parameters) -> Result:
    write_volume(volume, tmp_path / "scan.nrrd")
    request = Request(
        "healthy", {"image": str(tmp_path / "scan.nrrd")}, str(tmp_path / "out"), {"model": "una-test", **parameters}
    )
    return run(request)


@pytest.mark.parametrize("grid", ["input", "1mm"])
def test_every_result_lies_where_the_scan_lies(installed, an_oblique_left_handed_grid, tmp_path, grid, a_head_on):
    """The network returns the scan: on whatever grid, the result is the scan between 0 and 1, in the brain alone."""
    scan = a_head_on(an_oblique_left_handed_grid)
    result = ran(scan, tmp_path, grid=grid, mirror="affine")
    found = read_volume(result.outputs["healthy"])
    if grid == "input":
        found.grid.require_same(scan.grid, "the result")
    else:
        assert np.allclose(found.grid.affine[:3, :3], np.eye(3))
    truth = a_head_on(found.grid).data[0]
    brain = found.data[0] > 0
    middle = found.data[0] > 0.3
    fit = np.polyfit(truth[middle].numpy(), found.data[0][middle].numpy(), 1)
    error = (found.data[0] - (truth * fit[0] + fit[1]).clamp(0, 1))[middle].abs()
    assert float(error.mean()) < 0.02
    assert fit[0] > 0 and 0.4 < float(brain.sum() * abs(np.linalg.det(found.grid.affine[:3, :3]))) / 7.0e5 < 1.6
    for name in ("anomaly", "segmentation", "confidence", "difference", "mirrored"):
        read_volume(result.outputs[name], allow_degenerate=True).grid.require_same(found.grid, name)
    assert not (read_volume(result.outputs["confidence"]).data[0][~brain]).any()


def test_the_report_says_what_was_found_and_the_page_its_limits(installed, upright, tmp_path, a_head_on):
    result = ran(a_head_on(upright), tmp_path, mirror="none")
    record = json.loads((tmp_path / "out" / "healthy.json").read_text())
    assert record["anomaly_ml"] == 0 and record["pieces"] == 0 and record["likeness"] is None
    assert record["error_well"] == pytest.approx(np.exp(-3.0), rel=1e-3) and record["error_sick"] is None
    assert "mirrored" not in result.outputs
    page = (tmp_path / "out" / "report.html").read_text()
    assert "made up" in page and "no proof of health" in page and "not for diagnosis" in page


def test_the_scan_with_what_is_abnormal_replaced_comes_on_request_in_its_own_units(
    installed, upright, tmp_path, a_head_on
):
    head = a_head_on(upright)
    result = ran(head, tmp_path, mirror="none", filled=True)
    found = read_volume(result.outputs["filled"])
    found.grid.require_same(upright, "the filled scan")
    assert torch.allclose(found.data, head.data, atol=0.5), "nothing abnormal was found"


def test_the_largest_piece_is_told_with_a_place_in_it():
    """A hook: its centre of mass lies beside it."""
    hook = np.zeros((9, 9, 9), bool)
    hook[1:8, 1, 4] = hook[1, 1:8, 4] = hook[7, 1:8, 4] = True
    grid = Grid(hook.shape, np.diag([2.0, 3.0, 1.0, 1.0]))
    place = healthy._middle(hook, grid)
    assert hook[tuple(np.rint(grid.world_to_index(np.array([place]))[0]).astype(int))]


def test_the_other_side_is_brought_over_by_registration(upright, a_head_on, a_network_that_returns_the_scan):
    """The head is off the middle and lopsided: a plain flip would be 8 mm off."""
    scan = a_head_on(upright)
    healed = heal(a_network_that_returns_the_scan(), None, 3.0, scan, HealingConfig())
    mirrored = other_side(healed, scan, upright).data[0]
    inside = scan.data[0] > 500
    plain = scan.data[0].flip(0)
    error, plain_error = (float((image - scan.data[0])[inside].abs().mean()) for image in (mirrored, plain))
    assert error < 0.5 * plain_error
    seen = healed.mirrored.data
    where = (seen > 0) & (healed.brain.data > 0)
    assert float(torch.corrcoef(torch.stack([seen[where], healed.scan.data[where]]))[0, 1]) > 0.9


def test_nothing_is_invented_outside_the_field_of_view(installed, upright, tmp_path, a_head_on):
    half = a_head_on(upright.cropped((0, 0, 0), (49, 53, 20)))
    result = ran(half, tmp_path, mirror="none")
    found = read_volume(result.outputs["healthy"])
    at = found.grid.index_to_world(np.argwhere(found.data[0].numpy() > 0))
    assert half.grid.world_to_index(at)[:, 2].max() < 19.51
    assert any("edge of the scan" in text for text in result.warnings)


def test_thick_slices_and_metal_are_told(upright, a_head_on, a_network_that_returns_the_scan):
    thick = Grid((49, 53, 20), upright.affine @ np.diag([1.0, 1.0, 2.2, 1.0]))
    healed = heal(a_network_that_returns_the_scan(), None, 3.0, a_head_on(thick), HealingConfig(mirror="none"))
    assert any("slices are 6.6 mm apart" in text for text in healed.warnings)


def test_a_ct_is_seen_in_the_brain_s_window(a_grid_of):
    hu = torch.linspace(-1000, 3500, 1000).view(1, 10, 10, 10)
    shown, modality, warnings = windowed(Volume(hu, a_grid_of((10, 10, 10))), "auto")
    assert modality == "ct" and (float(shown.data.min()), float(shown.data.max())) == (0.0, 80.0)
    assert "Metal" in warnings[0]
    assert windowed(Volume(hu.clamp_min(0), a_grid_of((10, 10, 10))), "auto")[1] == "mr"
    assert windowed(Volume(hu.clamp(0, 80), a_grid_of((10, 10, 10))), "ct")[1:] == ("ct", [])


class Blind:
    """A network that sees no brain anywhere."""

    def to(self, device: str) -> Blind:
        return self

    def features(self, image: torch.Tensor):
        from SlicerSynthReg.methods.synthmorph.model import Features

        return Features(image[0], torch.zeros(image.shape[2:]), None, {})


def test_what_is_no_head_is_refused(upright):
    scan = Scan(torch.rand(49, 53, 45), upright)
    with pytest.raises(VolumeError, match="Found no brain in the scan, expected a head of 0.3 to 2.5 litres"):
        brain_of(scan, Blind(), "cpu")  # type: ignore[arg-type]


def test_without_a_model_it_says_what_is_missing(upright, tmp_path, monkeypatch, a_head_on):
    monkeypatch.delenv("SYNTHREG_WEIGHTS", raising=False)
    with pytest.raises(
        RequestError, match="Found no model named 'una-test' for the healthy brain .*`synthreg train healthy`"
    ):
        ran(a_head_on(upright), tmp_path)
    assert not (tmp_path / "out").exists()
