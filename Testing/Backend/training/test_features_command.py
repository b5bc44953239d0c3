from __future__ import annotations

from pathlib import Path

import pytest
import torch

from SlicerSynthReg.networks.extractor import METHOD, AnatomixNet, Extractor
from SlicerSynthReg.training.features import OUTPUT, FeatureTask, FeatureTaskConfig
from SlicerSynthReg.training.features_command import template_masks
from SlicerSynthReg.weights.registry import read_card


@pytest.fixture
def published_file(tmp_path) -> tuple[Path, AnatomixNet]:
    """A checkpoint of a compiled model: every name has a prefix."""
    torch.manual_seed(0)
    net = AnatomixNet().eval()
    torch.save({f"_orig_mod.{key}": value for key, value in net.state_dict().items()}, tmp_path / "anatomix.pth")
    return tmp_path / "anatomix.pth", net


def test_the_papers_training_and_its_ablations_are_options(synthreg_train, trainings, tmp_path):
    arguments = ("--temperature", 0.07, "--position-weight", 0, "--foreground", 0, "--minutes", 3)
    code, output = synthreg_train("features-any", "--out", tmp_path, *arguments)
    assert code == 0, output
    (task, config), = trainings  # fmt: skip
    assert isinstance(task, FeatureTask) and config.minutes == 3
    assert task.config.losses.temperature == 0.07 and task.config.losses.position_levels == ()
    assert task.config.engine.foreground == 0 and task.masks == ()


def test_label_maps_become_templates_in_their_bounding_cubes(label_map_folder):
    """Each of the 54 labels but the background, of each of three maps, in a cube of at most 40 voxels a side."""
    masks = template_masks(label_map_folder)
    assert len(masks) == 3 * 53
    assert all(m.shape[0] == m.shape[1] == m.shape[2] <= 40 and m.dtype == torch.uint8 and m.max() > 200 for m in masks)


def test_an_exported_extractor_computes_the_features_of_the_training(
    synthreg_train, write_checkpoint, provenance_file, tmp_path, seeded, monkeypatch
):
    torch.manual_seed(0)
    model = FeatureTask(FeatureTaskConfig()).model
    weights = tmp_path / "weights"
    arguments = ("--training", write_checkpoint("run", model), "--provenance", provenance_file, "--out", weights)
    code, output = synthreg_train("export-features", "some", *arguments)
    assert code == 0, output
    card = read_card("some", weights)
    assert card.method == METHOD and (weights / card.file).stat().st_size < 6e6
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(weights))
    image = torch.rand((1, 1, 32, 32, 32), generator=seeded(0))
    model.eval()
    expected = torch.nn.functional.normalize(model(image, (OUTPUT,))[0], dim=1)[0]
    assert torch.allclose(Extractor.load(card)(image), expected, atol=0.02)  # half precision


def test_published_weights_are_imported_with_any_prefix(synthreg_train, published_file, tmp_path, seeded, monkeypatch):
    path, net = published_file
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "own"))
    code, output = synthreg_train("import-features", path)
    assert code == 0, output
    card = read_card("anatomix")
    assert card.licence == "MIT" and card.method == METHOD
    image = torch.rand((1, 1, 32, 32, 32), generator=seeded(0))
    with torch.no_grad():
        expected = net(image)[0]
    assert torch.allclose(Extractor.load(card)(image), expected, atol=0.02 * float(expected.abs().max()))


def test_other_files_are_not_imported(synthreg_train, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "own"))
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    code, output = synthreg_train("import-features", tmp_path / "other.pth")
    assert code == 2 and "expected anatomix.pth" in output
    assert not (tmp_path / "own").exists()
    monkeypatch.delenv("SYNTHREG_WEIGHTS")
    code, output = synthreg_train("import-features", tmp_path / "other.pth")
    assert code == 2 and "SYNTHREG_WEIGHTS" in output
