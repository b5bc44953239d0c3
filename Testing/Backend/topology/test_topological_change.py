"""Topological change in memory and as a command, with a model that compares intensities only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import SlicerSynthReg
from SlicerSynthReg.errors import RequestError, SynthRegError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.metrics.roc import auc
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine
from SlicerSynthReg.topology.variational import Topology, TopologyConfig
from SlicerSynthReg.weights.registry import Card, available, save_model


@pytest.fixture(params=[3, 2], ids=["volumes", "slices"])
def installed_model(request, tmp_path, monkeypatch) -> None:
    """Install an untrained model of volumes or of slices: no displacement; the score is the intensity difference."""
    torch.manual_seed(0)
    config = replace(TopologyConfig.for_channels(1, request.param), log_variance=(-6.0,), widths=(4, 8))
    entries = dict.fromkeys(("licence", "training_data", "intended_use", "limits", "modalities", "trained_with"), "-")
    card = Card("topology-test", "Topology", config.to_card(), "", spacing_mm=2.0, **entries)
    save_model(card, Topology(config).state_dict(), tmp_path / "weights")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def oblique_grid() -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [5, -8, 10], degrees=True).as_matrix() @ np.diag([-1.5, 2.0, 1.7])
    grid = Grid((40, 32, 36), affine)
    affine[:3, 3] = -grid.center_mm
    return Grid(grid.shape, affine)


def body(grid: Grid, lesion: bool = False, shift_mm: float = 0.0, dim: float = 0.0) -> Image:
    """Return a ball of 22 mm with a gradient; lesion: a dark ball of 8 mm at (8, 0, 0); dim: darkens its upper part."""
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in grid.shape), indexing="ij")).flatten(1).T
    points = grid.index_to_world(index.double().numpy()) - np.array([shift_mm, 0, 0])
    values = (np.linalg.norm(points, axis=1) < 22) * (100 + points[:, 1] - dim * (points[:, 2] > 5))
    if lesion:
        values[np.linalg.norm(points - np.array([8, 0, 0]), axis=1) < 8] = 20
    return Image(torch.from_numpy(values).float().view(1, *grid.shape), grid)


def with_gamma(volume: Image) -> Image:
    return Image(400 * (volume.data / 130).clamp_min(0).sqrt(), volume.grid)


def run_command(tmp_path: Path, fixed: Image, moving: Image, **inputs: str) -> Result:
    for name, volume in (("fixed", fixed), ("moving", moving)):
        write_image(volume, tmp_path / f"{name}.nii.gz")
        inputs[name] = str(tmp_path / f"{name}.nii.gz")
    return run(Request("topology", inputs, str(tmp_path / "out"), {"model": "topology-test", "device": "cpu"}))


def test_lesion_is_marked_at_its_position_on_the_fixed_grid(installed_model, oblique_grid, tmp_path):
    fixed = body(oblique_grid, lesion=True)
    result = run_command(tmp_path, fixed, body(oblique_grid))
    for name in ("changes", "stretching", "mismatch", "marked"):
        read_image(result.outputs[name], allow_degenerate=True).grid.require_same(oblique_grid, name)
    marked = read_image(result.outputs["marked"], "labels").data[0].nonzero().double().numpy()
    centre = oblique_grid.index_to_world(marked).mean(0)
    assert np.linalg.norm(centre - [8, 0, 0]) < 2.5
    assert result.report["map"] == "changes" and 0.1 < result.report["marked_ml"] < 3


@pytest.mark.skipif("topology-brains" not in available(), reason="topology-brains is not installed")
@pytest.mark.parametrize(("model", "margin"), [(None, 0.2), ("topology-slices", 0.1)])
def test_shipped_models_detect_a_lesion_better_than_the_jacobian(model, margin, oblique_grid, tmp_path):
    """In a body unlike the training data, shifted by 2 mm."""
    write_image(body(oblique_grid, lesion=True), tmp_path / "fixed.nii.gz")
    write_image(body(oblique_grid, shift_mm=2.0), tmp_path / "moving.nii.gz")
    inputs = {name: str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")}
    result = run(Request("topology", inputs, str(tmp_path / "out"), {"device": "cpu", "model": model}))
    assert result.report["model"] == (model or "topology-brains")
    healthy = body(oblique_grid).data[0].numpy()
    there, inside = body(oblique_grid, lesion=True).data[0].numpy() < healthy, healthy > 0
    areas = {
        name: auc(read_image(result.outputs[name], allow_degenerate=True).data[0].numpy(), there, inside)
        for name in ("changes", "stretching")
    }
    assert areas["changes"] > max(0.95, areas["stretching"] + margin), areas


def test_another_intensity_scale_is_no_change(installed_model, oblique_grid, tmp_path):
    moving, maps = body(oblique_grid), {}
    for name, one in (("same", moving), ("another", with_gamma(moving))):
        (tmp_path / name).mkdir()
        result = run_command(tmp_path / name, body(oblique_grid, lesion=True), one)
        maps[name] = read_image(result.outputs["changes"], allow_degenerate=True).data
    assert float((maps["same"] - maps["another"]).abs().max()) < 0.1 * float(maps["same"].max() - maps["same"].min())


def test_transform_aligns_the_images(installed_model, oblique_grid, tmp_path):
    shift = np.eye(4)
    shift[0, 3] = 9.0
    write_transform(Affine(shift), tmp_path / "t.tfm", oblique_grid, oblique_grid)
    moving = body(oblique_grid, shift_mm=9.0)
    aligned = run_command(tmp_path, body(oblique_grid), moving, transform=str(tmp_path / "t.tfm"))
    high = aligned.report["percentiles"]["99"]
    (tmp_path / "second").mkdir()
    unaligned = run_command(tmp_path / "second", body(oblique_grid), moving)
    assert unaligned.report["percentiles"]["99"] > high + 1


def test_variation_among_controls_is_no_outlier(installed_model, oblique_grid, tmp_path):
    """The brightness of the upper part varies in all images; only this case has the lesion."""
    folder = tmp_path / "controls"
    folder.mkdir()
    for n, dim in enumerate((0.0, 60.0, 30.0)):
        write_image(body(oblique_grid, dim=dim), folder / f"{n}.nii.gz")
    fixed = body(oblique_grid, lesion=True, dim=45.0)
    result = run_command(tmp_path, fixed, body(oblique_grid), controls=str(folder))
    assert result.report["map"] == "outliers"
    score, q = (read_image(result.outputs[name]).data[0] for name in ("changes", "outliers"))
    at = [
        tuple(oblique_grid.world_to_index(np.array([place]))[0].round().astype(int))
        for place in ([8, 0, 0], [-5, 0, 12])
    ]
    assert float(q[at[0]]) > 3 * abs(float(q[at[1]]))
    assert float(score[at[1]]) > float(score.median()) and float(q[at[0]]) > 0


def test_images_apart_and_too_few_controls_are_refused(installed_model, oblique_grid, tmp_path):
    far = np.eye(4)
    far[:3, 3] = 500.0
    with pytest.raises(RequestError) as refused:
        run_command(
            tmp_path, body(oblique_grid), Image(body(oblique_grid).data, Grid((40, 32, 36), far @ oblique_grid.affine))
        )
    assert refused.value.code == "no-overlap"
    (tmp_path / "none").mkdir()
    with pytest.raises(RequestError) as refused:
        run_command(tmp_path, body(oblique_grid), body(oblique_grid), controls=str(tmp_path / "none"))
    assert refused.value.code == "too-few-controls"


def test_in_memory_result_equals_the_commands_files(installed_model, oblique_grid, tmp_path):
    folder = tmp_path / "controls"
    folder.mkdir()
    for n, dim in enumerate((0.0, 40.0)):
        write_image(body(oblique_grid, dim=dim), folder / f"{n}.nii.gz")
    files = run_command(tmp_path, body(oblique_grid, lesion=True), body(oblique_grid), controls=str(folder)).outputs
    fixed, moving = (read_image(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving"))
    controls = [read_image(path) for path in sorted(folder.iterdir())]
    result = SlicerSynthReg.topological_change(fixed, moving, controls=controls, model="topology-test", device="cpu")
    images = {
        "changes": result.score,
        "stretching": result.log_jacobian,
        "mismatch": result.mismatch,
        "outliers": result.outliers,
        "marked": result.mask,
    }
    assert set(files) == set(images) == set(result.save(tmp_path / "saved"))
    for name, image in images.items():
        file = read_image(files[name], image.kind, allow_degenerate=True)
        image.grid.require_same(file.grid, name)
        assert torch.allclose(image.data.float(), file.data.float(), atol=1e-6), name


def test_errors_in_memory_have_codes(installed_model, oblique_grid):
    image = body(oblique_grid)
    far = np.eye(4)
    far[:3, 3] = 500.0
    apart = Image(image.data, Grid(oblique_grid.shape, far @ oblique_grid.affine))
    for code, arguments, options in (
        ("no-overlap", (image, apart), {}),
        ("control-no-overlap", (image, image), {"controls": [image, apart]}),
        ("too-few-controls", (image, image), {"controls": [image]}),
        ("unknown-parameter", (image, image), {"percentile": 90.0}),
    ):
        with pytest.raises(SynthRegError) as refused:
            SlicerSynthReg.topological_change(*arguments, model="topology-test", **options)
        assert refused.value.code == code
