"""The healthy reconstruction in memory and as a command, with networks of known output: grids, sides and edges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import SlicerSynthReg
from SlicerSynthReg.api.healthy import anomaly_measures
from SlicerSynthReg.errors import BrainNotFound, RequestError
from SlicerSynthReg.healthy.pipeline import HealthyModel, ReconstructionConfig, contralateral_image, run_una
from SlicerSynthReg.healthy.preprocessing import apply_ct_window, extract_brain
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.registration.preprocessing import PreprocessedImage
from SlicerSynthReg.registration.synthmorph import NetworkFeatures
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid

IMAGES = {
    "healthy": "t1",
    "anomaly": "anomaly",
    "segmentation": "mask",
    "difference": "difference",
    "confidence": "confidence",
    "mirrored": "mirrored",
    "inpainted": "inpainted",
}
"""Output of the command -> attribute of the result."""


@pytest.fixture(scope="module")
def oblique_left_handed_grid() -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [12, -15, 20], degrees=True).as_matrix() @ np.diag([-2.5, 3.0, 2.0])
    grid = Grid((58, 56, 70), affine)
    affine[:3, 3] = -grid.center_mm
    return Grid(grid.shape, affine)


def run_command(image: Image, folder: Path, **parameters) -> Result:
    write_image(image, folder / "scan.nrrd")
    inputs = {"image": str(folder / "scan.nrrd")}
    return run(Request("healthy", inputs, str(folder / "out"), {"model": "una-test", **parameters}))


def test_in_memory_result_equals_the_commands_files(installed_model, ras_grid, tmp_path, head_on):
    head, options = head_on(ras_grid), {"mirror": "affine", "inpaint": True}
    files = run_command(head, tmp_path, **options).outputs
    result = SlicerSynthReg.reconstruct_healthy(head, model="una-test", **options)
    for output, attribute in IMAGES.items():
        kind = "labels" if output == "segmentation" else "scalar"
        file = read_image(files[output], kind, allow_degenerate=True)
        image = getattr(result, attribute)
        image.grid.require_same(file.grid, output)
        assert torch.allclose(image.data.float(), file.data.float(), atol=1e-6), output
    saved = result.save(tmp_path / "saved")
    assert set(saved) == set(files) and all((tmp_path / "saved" / file).is_file() for file in saved.values())


def test_unknown_option_is_refused(ras_grid, head_on):
    with pytest.raises(RequestError) as refused:
        SlicerSynthReg.reconstruct_healthy(head_on(ras_grid), treshold=0.3)
    assert refused.value.code == "unknown-parameter" and "threshold" in str(refused.value)


@pytest.mark.parametrize("grid", ["input", "1mm"])
def test_results_are_aligned_with_the_scan(installed_model, oblique_left_handed_grid, grid, head_on):
    """The network returns the scan: the T1 is the scan scaled to 0..1, inside the brain only, on any grid."""
    scan = head_on(oblique_left_handed_grid)
    result = SlicerSynthReg.reconstruct_healthy(scan, model="una-test", grid=grid, mirror="affine")
    t1 = result.t1
    if grid == "input":
        t1.grid.require_same(scan.grid, "the result")
    else:
        assert np.allclose(t1.grid.affine[:3, :3], np.eye(3))
    truth = head_on(t1.grid).data[0]
    brain, bright = t1.data[0] > 0, t1.data[0] > 0.3
    slope, offset = np.polyfit(truth[bright].numpy(), t1.data[0][bright].numpy(), 1)
    error = (t1.data[0] - (truth * slope + offset).clamp(0, 1))[bright].abs()
    assert float(error.mean()) < 0.02
    assert slope > 0 and 0.4 < float(brain.sum() * abs(np.linalg.det(t1.grid.affine[:3, :3]))) / 7.0e5 < 1.6
    for attribute in IMAGES.values():
        if attribute != "inpainted":
            getattr(result, attribute).grid.require_same(t1.grid, attribute)
    assert not result.confidence.data[0][~brain].any()


def test_record_holds_the_measures_and_the_page_the_limits(installed_model, ras_grid, tmp_path, head_on):
    result = run_command(head_on(ras_grid), tmp_path, mirror="none")
    record = json.loads((tmp_path / "out" / "healthy.json").read_text())
    assert record["anomaly"] == {"anomaly_ml": 0, "components": 0, "largest_ml": 0, "largest_centre_mm": None}
    assert record["mirror_correlation"] is None and record["run"]["model"] == "una-test"
    assert record["expected_error"]["normal"] == pytest.approx(np.exp(-3.0), rel=1e-3)
    assert record["expected_error"]["lesion"] is None
    assert "mirrored" not in result.outputs
    page = (tmp_path / "out" / "report.html").read_text()
    assert "synthetic" in page and "no proof of health" in page and "not for diagnosis" in page


def test_inpainted_scan_is_the_scan_where_nothing_is_abnormal(installed_model, ras_grid, head_on):
    head = head_on(ras_grid)
    result = SlicerSynthReg.reconstruct_healthy(head, model="una-test", mirror="none", inpaint=True)
    result.inpainted.grid.require_same(ras_grid, "the inpainted scan")
    assert torch.allclose(result.inpainted.data, head.data, atol=0.5)


def test_largest_component_is_located_inside_it():
    """A hook, whose centroid lies outside of it."""
    hook = np.zeros((9, 9, 9), bool)
    hook[1:8, 1, 4] = hook[1, 1:8, 4] = hook[7, 1:8, 4] = True
    grid = Grid(hook.shape, np.diag([2.0, 3.0, 1.0, 1.0]))
    measures = anomaly_measures(Image(torch.from_numpy(hook)[None].to(torch.uint8), grid, "labels"))
    index = grid.world_to_index(np.array([measures.largest_centre_mm]))[0]
    assert hook[tuple(np.rint(index).astype(int))]
    assert measures.components == 1 and measures.anomaly_ml == pytest.approx(hook.sum() * 6 / 1000)


def test_contralateral_side_is_found_by_registration(ras_grid, head_on, identity_network):
    """The head is off-centre and asymmetric: a plain flip has an error of 8 mm."""
    scan = head_on(ras_grid)
    result = run_una(HealthyModel(identity_network(), None, 3.0), scan, ReconstructionConfig())
    mirrored = contralateral_image(result, scan, ras_grid).data[0]
    inside, flipped = scan.data[0] > 500, scan.data[0].flip(0)
    error, flip_error = (float((image - scan.data[0])[inside].abs().mean()) for image in (mirrored, flipped))
    assert error < 0.5 * flip_error
    contralateral = result.scan.mirrored.data
    inside = (contralateral > 0) & (result.maps.brain.data > 0)
    values = torch.stack([contralateral[inside], result.scan.image.data[inside]])
    assert float(torch.corrcoef(values)[0, 1]) > 0.9


def test_nothing_is_reconstructed_outside_the_field_of_view(installed_model, ras_grid, head_on):
    half = head_on(ras_grid.cropped((0, 0, 0), (49, 53, 20)))
    result = SlicerSynthReg.reconstruct_healthy(half, model="una-test", mirror="none")
    at = result.t1.grid.index_to_world(np.argwhere(result.t1.data[0].numpy() > 0))
    assert half.grid.world_to_index(at)[:, 2].max() < 19.51
    assert any("edge of the scan" in text for text in result.warnings)


def test_thick_slices_give_a_warning(ras_grid, head_on, identity_network):
    thick = Grid((49, 53, 20), ras_grid.affine @ np.diag([1.0, 1.0, 2.2, 1.0]))
    model = HealthyModel(identity_network(), None, 3.0)
    result = run_una(model, head_on(thick), ReconstructionConfig(mirror="none"))
    assert any("slices are 6.6 mm apart" in text for text in result.warnings)


def test_ct_is_clipped_to_the_brain_window(a_grid_of):
    hu = torch.linspace(-1000, 3500, 1000).view(1, 10, 10, 10)
    windowed, modality, warnings = apply_ct_window(Image(hu, a_grid_of((10, 10, 10))), "auto")
    assert modality == "ct" and (float(windowed.data.min()), float(windowed.data.max())) == (0.0, 80.0)
    assert "Metal" in warnings[0]
    assert apply_ct_window(Image(hu.clamp_min(0), a_grid_of((10, 10, 10))), "auto")[1] == "mr"
    assert apply_ct_window(Image(hu.clamp(0, 80), a_grid_of((10, 10, 10))), "ct")[1:] == ("ct", [])


class NoBrainNetwork:
    """A network that recognises no brain."""

    def to(self, device: str) -> NoBrainNetwork:
        return self

    def features(self, image: torch.Tensor) -> NetworkFeatures:
        return NetworkFeatures(image[0], torch.zeros(image.shape[2:]), None, {})


def test_image_without_a_brain_is_refused(ras_grid):
    scan = PreprocessedImage(torch.rand(49, 53, 45), ras_grid)
    with pytest.raises(BrainNotFound):
        extract_brain(scan, NoBrainNetwork(), "cpu")  # type: ignore[arg-type]


def test_missing_model_is_refused_and_nothing_is_written(ras_grid, tmp_path, monkeypatch, head_on):
    monkeypatch.delenv("SYNTHREG_WEIGHTS", raising=False)
    with pytest.raises(RequestError) as refused:
        run_command(head_on(ras_grid), tmp_path)
    assert refused.value.code == "model-missing" and "una-test" in str(refused.value)
    assert not (tmp_path / "out").exists()
