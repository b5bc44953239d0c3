"""The topology task with a model whose features are intensities: grids, baselines, controls, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.evaluate.auc import auc
from SlicerSynthReg.methods.topology.model import Topology, TopologyConfig
from SlicerSynthReg.request import Request, RequestError, Result
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import write_transform
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import Card, available, save_model


@pytest.fixture(params=[3, 2], ids=["volumes", "slices"])
def installed(request, tmp_path, monkeypatch) -> None:
    """A model at birth, of volumes or of slices: nothing moves, and what scores is the difference of intensities."""
    torch.manual_seed(0)
    config = replace(TopologyConfig.comparing(1, request.param), log_variance=(-6.0,), widths=(4, 8))
    said = dict.fromkeys(("licence", "training_data", "intended_use", "limits", "modalities", "trained_with"), "-")
    card = Card("topology-test", "Topology", config.to_card(), "", spacing_mm=2.0, **said)
    save_model(card, Topology(config).state_dict(), tmp_path / "weights")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def a_grid() -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [5, -8, 10], degrees=True).as_matrix() @ np.diag([-1.5, 2.0, 1.7])
    grid = Grid((40, 32, 36), affine)
    affine[:3, 3] = -grid.center_mm
    return Grid(grid.shape, affine)


def a_body(grid: Grid, lesion: bool = False, shift_mm: float = 0.0, dim: float = 0.0) -> Volume:
    """A ball of 22 mm with a gradient, and perhaps a dark ball of 8 mm at (8, 0, 0)."""
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in grid.shape), indexing="ij")).flatten(1).T
    points = grid.index_to_world(index.double().numpy()) - np.array([shift_mm, 0, 0])
    values = (np.linalg.norm(points, axis=1) < 22) * (100 + points[:, 1] - dim * (points[:, 2] > 5))
    if lesion:
        values[np.linalg.norm(points - np.array([8, 0, 0]), axis=1) < 8] = 20
    return Volume(torch.from_numpy(values).float().view(1, *grid.shape), grid)


def by_another_scanner(volume: Volume) -> Volume:
    return Volume(400 * (volume.data / 130).clamp_min(0).sqrt(), volume.grid)


def ran(tmp_path: Path, fixed: Volume, moving: Volume, **inputs: str) -> Result:
    for name, volume in (("fixed", fixed), ("moving", moving)):
        write_volume(volume, tmp_path / f"{name}.nii.gz")
        inputs[name] = str(tmp_path / f"{name}.nii.gz")
    return run(Request("topology", inputs, str(tmp_path / "out"), {"model": "topology-test", "device": "cpu"}))


def test_what_has_appeared_is_marked_where_it_lies_on_the_fixed_grid(installed, a_grid, tmp_path):
    fixed = a_body(a_grid, lesion=True)
    result = ran(tmp_path, fixed, a_body(a_grid))
    for name in ("changes", "stretching", "mismatch", "marked"):
        read_volume(result.outputs[name], allow_degenerate=True).grid.require_same(a_grid, name)
    marked = read_volume(result.outputs["marked"], "labels").data[0].nonzero().double().numpy()
    centre = a_grid.index_to_world(marked).mean(0)
    assert np.linalg.norm(centre - [8, 0, 0]) < 2.5
    assert result.report["map"] == "changes" and 0.1 < result.report["marked_ml"] < 3


@pytest.mark.skipif("topology-brains" not in available(), reason="topology-brains is not installed")
@pytest.mark.parametrize(("model", "margin"), [(None, 0.2), ("topology-slices", 0.1)])
def test_the_shipped_models_tell_what_has_appeared_better_than_stretching_does(model, margin, a_grid, tmp_path):
    """In a body unlike any that it was trained on, seen from 2 mm beside."""
    write_volume(a_body(a_grid, lesion=True), tmp_path / "fixed.nii.gz")
    write_volume(a_body(a_grid, shift_mm=2.0), tmp_path / "moving.nii.gz")
    inputs = {name: str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")}
    result = run(Request("topology", inputs, str(tmp_path / "out"), {"device": "cpu", "model": model}))
    assert result.report["model"] == (model or "topology-brains")
    healthy = a_body(a_grid).data[0].numpy()
    there, body = a_body(a_grid, lesion=True).data[0].numpy() < healthy, healthy > 0
    areas = {
        name: auc(read_volume(result.outputs[name], allow_degenerate=True).data[0].numpy(), there, body)
        for name in ("changes", "stretching")
    }
    assert areas["changes"] > max(0.95, areas["stretching"] + margin), areas


def test_another_scanners_brightness_is_no_change(installed, a_grid, tmp_path):
    moving, maps = a_body(a_grid), {}
    for name, one in (("same", moving), ("another", by_another_scanner(moving))):
        (tmp_path / name).mkdir()
        result = ran(tmp_path / name, a_body(a_grid, lesion=True), one)
        maps[name] = read_volume(result.outputs["changes"], allow_degenerate=True).data
    assert float((maps["same"] - maps["another"]).abs().max()) < 0.1 * float(maps["same"].max() - maps["same"].min())


def test_an_affine_that_aligns_is_used(installed, a_grid, tmp_path):
    shift = np.eye(4)
    shift[0, 3] = 9.0
    write_transform(Affine(shift), tmp_path / "t.tfm", a_grid, a_grid)
    moving = a_body(a_grid, shift_mm=9.0)
    aligned = ran(tmp_path, a_body(a_grid), moving, transform=str(tmp_path / "t.tfm"))
    high = aligned.report["percentiles"]["99"]
    (tmp_path / "second").mkdir()
    left = ran(tmp_path / "second", a_body(a_grid), moving)
    assert left.report["percentiles"]["99"] > high + 1


def test_what_differs_among_controls_too_is_no_outlier(installed, a_grid, tmp_path):
    """The upper part is of any brightness in everybody; the lesion is this case's own."""
    folder = tmp_path / "controls"
    folder.mkdir()
    for n, dim in enumerate((0.0, 60.0, 30.0)):
        write_volume(a_body(a_grid, dim=dim), folder / f"{n}.nii.gz")
    fixed = a_body(a_grid, lesion=True, dim=45.0)
    result = ran(tmp_path, fixed, a_body(a_grid), controls=str(folder))
    assert result.report["map"] == "outliers"
    score, q = (read_volume(result.outputs[name]).data[0] for name in ("changes", "outliers"))
    at = [tuple(a_grid.world_to_index(np.array([place]))[0].round().astype(int)) for place in ([8, 0, 0], [-5, 0, 12])]
    assert float(q[at[0]]) > 3 * abs(float(q[at[1]]))
    assert float(score[at[1]]) > float(score.median()) and float(q[at[0]]) > 0


def test_images_apart_and_too_few_controls_are_refused(installed, a_grid, tmp_path):
    far = np.eye(4)
    far[:3, 3] = 500.0
    with pytest.raises(RequestError, match="Register them first"):
        ran(tmp_path, a_body(a_grid), Volume(a_body(a_grid).data, Grid(a_grid.shape, far @ a_grid.affine)))
    (tmp_path / "none").mkdir()
    with pytest.raises(RequestError, match="two or more"):
        ran(tmp_path, a_body(a_grid), a_body(a_grid), controls=str(tmp_path / "none"))
