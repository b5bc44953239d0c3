from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from SlicerSynthReg.methods.neuralizer.model import Neuralizer
from SlicerSynthReg.tasks.model import CONTEXT_MODEL
from SlicerSynthReg.train import command, synthmorph, training
from SlicerSynthReg.train.anatomy import AnatomyTask
from SlicerSynthReg.train.features import FeatureTask
from SlicerSynthReg.train.loop import LoopConfig, Task
from SlicerSynthReg.train.registration import LOSSES, RegistrationTask
from SlicerSynthReg.weights.registry import read_card

from .conftest import VALUES


@pytest.fixture
def trained(monkeypatch) -> list[tuple[Task, LoopConfig]]:
    """What the loop was given; nothing is trained."""
    given: list[tuple[Task, LoopConfig]] = []

    def noted(task: Task, config: LoopConfig, say) -> Path:
        given.append((task, config))
        return Path(config.folder) / "best.pt"

    monkeypatch.setattr(training, "train", noted)
    monkeypatch.setattr(training, "plot_training", lambda folder: folder / "training.png")
    return given


@pytest.fixture
def a_folder_of_maps(tmp_path, four_heads) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    values = np.array(VALUES, dtype=np.int16)
    for n, labels in enumerate(four_heads.maps[:3]):
        nibabel.save(nibabel.Nifti1Image(values[labels.numpy()], np.eye(4)), folder / f"{n}.nii.gz")
    return folder


def asked(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(command.app, [str(word) for word in words], env={"COLUMNS": "200"})
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("loss", LOSSES)
def test_every_training_of_the_paper_is_one_option(trained, tmp_path, loss):
    code, said = asked("registration", "--out", tmp_path, "--loss", loss, "--network", "unet", "--steps", 7)
    assert code == 0 and "training.png" in said
    (task, config), = trained  # fmt: skip
    assert isinstance(task, RegistrationTask) and task.recipe == LOSSES[loss] and task.config.network == "unet"
    assert (config.folder, config.steps, config.minutes, config.learning_rate) == (str(tmp_path), 7, 60.0, 1e-3)


def test_brains_and_shapes_differ_by_the_label_maps(trained, tmp_path, a_folder_of_maps):
    brains = ("--labels", a_folder_of_maps, "--held-out", 1)
    assert asked("anatomy", "--out", tmp_path / "a", *brains)[0] == 0
    assert asked("features", "--out", tmp_path / "f")[0] == 0
    assert asked("registration", "--out", tmp_path / "r", *brains, "--one-person")[0] == 0
    assert asked("registration", "--out", tmp_path / "s", "--coarse", "--alike")[0] == 0
    tasks = [task for task, _ in trained]
    assert [type(task) for task in tasks] == [AnatomyTask, FeatureTask, RegistrationTask, RegistrationTask]
    assert len(tasks[0].maps) == len(tasks[2].people) == 2 and tasks[2].config.pairs.one_person
    assert tasks[3].people == [] and not tasks[3].config.pairs.one_person
    assert tasks[3].recipe.alike and tasks[3].judged.alike and not (tasks[2].recipe.alike or tasks[2].judged.alike)
    assert tasks[2].config.pairs.shape == (80, 96, 80) and tasks[3].config.pairs.shape == (48, 48, 48)


def test_heads_start_from_the_features_of_a_training_and_leave_them(trained, tmp_path):
    torch.manual_seed(5)
    state = FeatureTask(synthmorph.FeatureTaskConfig()).model.state_dict()
    torch.save({"model": state}, tmp_path / "best.pt")
    assert asked("registration", "--out", tmp_path / "r", "--features", tmp_path)[0] == 0
    assert asked("registration", "--out", tmp_path / "n")[0] == 0
    (with_features, _), (without, _) = trained
    key = "stem.0.weight"
    assert torch.equal(with_features.model.model.net.state_dict()[key], state[f"net.{key}"])
    assert not any(p.requires_grad for p in with_features.model.model.net.parameters())
    assert all(p.requires_grad for p in without.model.model.net.parameters())


def test_a_training_begins_alike_each_time(trained, tmp_path):
    for n in range(2):
        torch.manual_seed(n)
        asked("features", "--out", tmp_path / str(n))
    one, two = (task.model.state_dict() for task, _ in trained)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--loss", "images"), "Found loss 'images', expected one of dice"),
        (("--network", "vit"), "Found network 'vit', expected one of matching, unet"),
        (("--features", ".", "--network", "unet"), "Found --features with --network unet"),
        (("--features", "."), "Found no best.pt"),
    ],
)
def test_options_that_do_not_go_together_are_refused(trained, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, said = asked("registration", "--out", tmp_path / "r", *words)
    assert code == 2 and message in said and trained == []


def test_too_few_maps_are_refused(trained, tmp_path, a_folder_of_maps):
    code, said = asked("anatomy", "--out", tmp_path, "--labels", a_folder_of_maps, "--held-out", 3)
    assert code == 2 and "Found 3 label maps in maps with 3 held out" in said and trained == []


def test_shipping_needs_a_training(tmp_path):
    code, said = asked("ship", "a-model", "--provenance", tmp_path / "said.json", "--to", tmp_path)
    assert code == 2 and "Found neither --features nor --registration" in said


def test_label_maps_are_kept_as_read_until_one_changes(tmp_path, a_folder_of_maps, monkeypatch):
    cache = tmp_path / "maps.pt"
    first = training.label_maps(a_folder_of_maps, 1, cache)
    read = []
    real = training.load_label_maps
    monkeypatch.setattr(training, "load_label_maps", lambda paths: read.append(paths) or real(paths))
    again = training.label_maps(a_folder_of_maps, 1, cache)
    assert read == [] and again.values == first.values
    assert all(torch.equal(a, b) for a, b in zip(again.maps, first.maps))
    (a_folder_of_maps / "2.nii.gz").unlink()
    assert len(training.label_maps(a_folder_of_maps, 1, cache).maps) == 2 and len(read) == 1


def test_a_context_training_goes_on_from_a_model_of_its_own_form(trained, tmp_path, a_folder_of_maps):
    words = ("context", "--out", tmp_path / "c", "--labels", a_folder_of_maps, "--held-out", 1)
    words = (*words, "--start", CONTEXT_MODEL)
    assert asked(*words, "--one-way")[0] == 0
    (task, _), = trained  # fmt: skip
    shipped = Neuralizer.load(read_card(CONTEXT_MODEL)).state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in task.model.state_dict().items())
    code, said = asked(*words)
    assert code != 0 and "one_way=True" in said and "expected" in said


def test_a_context_training_leaves_out_what_it_is_told_to(trained, tmp_path, a_folder_of_maps):
    words = ("context", "--out", tmp_path / "c", "--labels", a_folder_of_maps, "--held-out", 1, "--width", 4)
    assert asked(*words, "--one-way", "--without", "motion, lesion", "--without-structures", "thalamus")[0] == 0
    (task, _), = trained  # fmt: skip
    assert task.model.config.one_way and task.config.question.without == ("motion", "lesion") and task.source.hidden
    code, said = asked(*words, "--without", "dancing")
    assert code == 2 and "Found --without 'dancing', expected names of: segmentation" in said
