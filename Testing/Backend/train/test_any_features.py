from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from SlicerSynthReg.nets.extractor import METHOD, AnatomixNet, Extractor
from SlicerSynthReg.train.any_features import masks_of
from SlicerSynthReg.train.features import FeatureTask, FeatureTaskConfig
from SlicerSynthReg.train.loop import LoopConfig, Task
from SlicerSynthReg.weights.registry import read_card

from .test_command import a_folder_of_maps, asked, trained  # noqa: F401


@pytest.fixture
def a_training(tmp_path) -> tuple[Path, FeatureTask]:
    """A folder as the loop leaves it, and its task."""
    torch.manual_seed(0)
    task = FeatureTask(FeatureTaskConfig())
    torch.save({"model": task.model.state_dict(), "step": 1, "scores": {}}, tmp_path / "best.pt")
    return tmp_path, task


@pytest.fixture
def a_provenance(tmp_path) -> Path:
    path = tmp_path / "provenance.json"
    said = dict.fromkeys(("training_data", "intended_use", "limits", "modalities", "trained_with"), "-")
    path.write_text(json.dumps({**said, "spacing_mm": 2.0}))
    return path


@pytest.fixture
def a_published_file(tmp_path) -> tuple[Path, AnatomixNet]:
    """As from a compiled model: every name with its prefix."""
    torch.manual_seed(0)
    net = AnatomixNet().eval()
    torch.save({f"_orig_mod.{key}": value for key, value in net.state_dict().items()}, tmp_path / "anatomix.pth")
    return tmp_path / "anatomix.pth", net


def test_the_papers_own_training_and_its_ablations_are_options(
    trained: list[tuple[Task, LoopConfig]],  # noqa: F811
    tmp_path,
):
    code, said = asked(
        "features-any", "--out", tmp_path, "--temperature", 0.07, "--place", 0, "--foreground", 0, "--minutes", 3
    )
    assert code == 0, said
    (task, config), = trained  # fmt: skip
    assert isinstance(task, FeatureTask) and task.config.temperature == 0.07 and config.minutes == 3
    assert task.config.place_levels == () and task.config.engine.foreground == 0 and task.masks == ()


def test_label_maps_become_templates_of_their_own_proportions(a_folder_of_maps):  # noqa: F811
    """Each of the 54 labels but the background, of each of three maps, in a cube no larger than 40 voxels."""
    masks = masks_of(a_folder_of_maps)
    assert len(masks) == 3 * 53
    assert all(m.shape[0] == m.shape[1] == m.shape[2] <= 40 and m.dtype == torch.uint8 and m.max() > 200 for m in masks)


def test_a_training_ships_as_an_extractor_that_sees_the_same(a_training, a_provenance, tmp_path, seeded):
    folder, task = a_training
    code, said = asked(
        "ship-features", "some", "--training", folder, "--provenance", a_provenance, "--to", tmp_path / "w"
    )
    assert code == 0, said
    card = read_card("some", tmp_path / "w")
    assert card.method == METHOD and (tmp_path / "w" / card.file).stat().st_size < 6e6
    monkey = pytest.MonkeyPatch()
    monkey.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "w"))
    image = torch.rand((1, 1, 32, 32, 32), generator=seeded(0))
    seen = Extractor.load(card)(image)
    monkey.undo()
    task.model.eval()
    expected = torch.nn.functional.normalize(task.model(image, (-1,))[0], dim=1)[0]
    assert torch.allclose(seen, expected, atol=0.02)  # half precision


def test_the_published_network_is_imported_whatever_prefix_its_names_have(
    a_published_file, tmp_path, seeded, monkeypatch
):
    path, net = a_published_file
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "own"))
    code, said = asked("import-features", path)
    assert code == 0, said
    card = read_card("anatomix")
    assert card.licence == "MIT" and card.method == METHOD
    image = torch.rand((1, 1, 32, 32, 32), generator=seeded(0))
    with torch.no_grad():
        expected = net(image)[0]
    assert torch.allclose(Extractor.load(card)(image), expected, atol=0.02 * float(expected.abs().max()))


def test_another_file_is_refused_with_what_was_expected(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "own"))
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    code, said = asked("import-features", tmp_path / "other.pth")
    assert code != 0 and "expected anatomix.pth" in said
    assert not (tmp_path / "own").exists()
    monkeypatch.delenv("SYNTHREG_WEIGHTS")
    code, said = asked("import-features", tmp_path / "other.pth")
    assert code != 0 and "SYNTHREG_WEIGHTS" in said
