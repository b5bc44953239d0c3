from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.training.anatomy import AnatomyTask
from SlicerSynthReg.training.cli import EXPORTS, TRAININGS
from SlicerSynthReg.training.features import FeatureTask, FeatureTaskConfig
from SlicerSynthReg.training.registration import LOSSES, RegistrationTask


@pytest.mark.parametrize("name", [*TRAININGS, *EXPORTS])
def test_every_command_has_help(synthreg_train, name):
    code, output = synthreg_train(name, "--help")
    assert code == 0 and (TRAININGS | EXPORTS)[name].__doc__.split(".")[0].split(",")[0] in output


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_an_option(synthreg_train, trainings, tmp_path, loss):
    arguments = ("--out", tmp_path, "--loss", loss, "--network", "unet", "--steps", 7)
    code, output = synthreg_train("registration", *arguments)
    assert code == 0 and "training.png" in output
    (task, config), = trainings  # fmt: skip
    assert isinstance(task, RegistrationTask) and task.spec == LOSSES[loss] and task.config.network == "unet"
    assert (config.folder, config.steps, config.minutes, config.learning_rate) == (str(tmp_path), 7, 60.0, 1e-3)


def test_trainings_use_label_maps_or_random_shapes(synthreg_train, trainings, tmp_path, label_map_folder):
    maps = ("--labels", label_map_folder, "--validation-cases", 1)
    assert synthreg_train("anatomy", "--out", tmp_path / "a", *maps)[0] == 0
    assert synthreg_train("features-shapes", "--out", tmp_path / "f")[0] == 0
    assert synthreg_train("registration", "--out", tmp_path / "r", *maps, "--one-subject")[0] == 0
    assert synthreg_train("registration", "--out", tmp_path / "s", "--coarse", "--same-contrast")[0] == 0
    anatomy, features, brains, shapes = (task for task, _ in trainings)
    assert isinstance(anatomy, AnatomyTask) and isinstance(features, FeatureTask)
    assert isinstance(brains, RegistrationTask) and isinstance(shapes, RegistrationTask)
    assert len(anatomy.training_maps) == len(brains.training.maps) == 2 and brains.config.pairs.one_subject
    assert shapes.training.maps == [] and not shapes.config.pairs.one_subject
    assert shapes.spec.same_contrast and shapes.validation_spec.same_contrast
    assert not (brains.spec.same_contrast or brains.validation_spec.same_contrast)
    assert brains.config.pairs.shape == (80, 96, 80) and shapes.config.pairs.shape == (48, 48, 48)


def test_features_of_a_training_are_used_and_frozen(synthreg_train, trainings, write_checkpoint, tmp_path):
    torch.manual_seed(5)
    model = FeatureTask(FeatureTaskConfig()).model
    folder = write_checkpoint("features", model)
    assert synthreg_train("registration", "--out", tmp_path / "r", "--features", folder)[0] == 0
    assert synthreg_train("registration", "--out", tmp_path / "n")[0] == 0
    (with_features, _), (without, _) = trainings
    key = "stem.0.weight"
    assert torch.equal(with_features.model.model.net.state_dict()[key], model.state_dict()[f"net.{key}"])
    assert not any(p.requires_grad for p in with_features.model.model.net.parameters())
    assert all(p.requires_grad for p in without.model.model.net.parameters())


def test_initial_weights_are_the_same_in_every_training(synthreg_train, trainings, tmp_path):
    for n in range(2):
        torch.manual_seed(n)
        synthreg_train("features-shapes", "--out", tmp_path / str(n))
    one, two = (task.model.state_dict() for task, _ in trainings)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--loss", "images"), "Found loss 'images', expected one of dice"),
        (("--network", "vit"), "Found network 'vit', expected one of matching, unet"),
        (("--features", ".", "--network", "unet"), "Found --features with --network unet"),
        (("--features", "."), "Found no best.pt"),
    ],
)
def test_invalid_options_are_usage_errors(synthreg_train, trainings, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, output = synthreg_train("registration", "--out", tmp_path / "r", *arguments)
    assert code == 2 and message in output and trainings == []


def test_too_few_label_maps_are_a_usage_error(synthreg_train, trainings, tmp_path, label_map_folder):
    arguments = ("--out", tmp_path, "--labels", label_map_folder, "--validation-cases", 3)
    code, output = synthreg_train("anatomy", *arguments)
    assert code == 2 and "Found 3 label maps in maps and 3 validation cases" in output and trainings == []


def test_an_export_needs_a_training(synthreg_train, provenance_file, tmp_path):
    code, output = synthreg_train("export-registration", "a-model", "--provenance", provenance_file, "--out", tmp_path)
    assert code == 2 and "Found neither --features nor --registration" in output
