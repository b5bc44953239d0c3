from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig
from SlicerSynthReg.synthesis.episode import EpisodeConfig
from SlicerSynthReg.synthesis.in_context_tasks import TASKS
from SlicerSynthReg.synthesis.slices import SliceConfig
from SlicerSynthReg.training.in_context import InContextTask, InContextTaskConfig, score
from SlicerSynthReg.training.in_context_command import episode_sources, infer_config
from SlicerSynthReg.weights.registry import read_card
from SlicerSynthReg.weights.selection import CONTEXT_MODEL

SMALL = InContextTaskConfig(
    NeuralizerConfig(width=4, stages=2),
    EpisodeConfig(SliceConfig(size=16)),
    episodes=2,
    examples=(1, 3),
    validation_examples=2,
    validation_episodes=1,
)


@pytest.fixture
def a_training(four_heads) -> InContextTask:
    torch.manual_seed(0)
    return InContextTask(SMALL, *episode_sources(four_heads, 2, ("hippocampus",)))


def test_a_step_depends_on_its_number_alone(a_training):
    with torch.no_grad():
        first, second = a_training.loss(3)["loss"], a_training.loss(4)["loss"]
        assert torch.equal(a_training.loss(3)["loss"], first) and not torch.equal(first, second)


def test_hidden_structures_are_hidden_in_training_only(a_training, four_heads):
    hidden = {four_heads.values[n] for n in a_training.source.hidden_labels}
    assert hidden == {17, 53} and a_training.validation.hidden_labels == ()


def test_excluded_tasks_are_measured_but_do_not_count_in_the_score(four_heads):
    episode = dataclasses.replace(SMALL.episode, excluded_tasks=tuple(name for name in TASKS if name != "motion"))
    config = dataclasses.replace(SMALL, episode=episode)
    task = InContextTask(config, *episode_sources(four_heads, 2))
    with torch.no_grad():
        scores = task.validate(task.model)
    assert set(scores) == {"score", *(name.replace(" ", "_") for name in TASKS)}
    assert scores["score"] == pytest.approx(scores["motion"] / 40)


def test_the_loss_falls_on_one_step(a_training):
    optimizer = torch.optim.Adam(a_training.model.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        loss = a_training.loss(1)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("config", [NeuralizerConfig(8, 3), NeuralizerConfig(6, 2, 3, 1, one_way=True)])
def test_the_configuration_is_inferred_from_the_weights(config):
    assert infer_config(Neuralizer(config).state_dict()) == config


def test_scores_are_dice_and_psnr():
    truth = torch.zeros(1, 4, 4)
    truth[:, :2] = 1
    prediction = truth.clone()
    prediction[:, 1] = 0.4
    assert score(prediction, truth, True) == pytest.approx(2 * 4 / (4 + 8))
    assert score(truth + 0.0, truth, False) == pytest.approx(60)
    assert score(torch.full_like(truth, 0.5), truth, False) == pytest.approx(6.0206, abs=1e-3)


def test_a_training_starts_from_a_pretrained_model_of_its_configuration(
    synthreg_train, trainings, tmp_path, label_map_folder
):
    arguments = ("--out", tmp_path / "run", "--labels", label_map_folder, "--validation-cases", 1)
    arguments = (*arguments, "--pretrained-model", CONTEXT_MODEL)
    code, output = synthreg_train("in-context", *arguments, "--one-way")
    assert code == 0, output
    pretrained = Neuralizer.load(read_card(CONTEXT_MODEL)).state_dict()
    initial = trainings[0][0].model.state_dict()
    assert all(torch.equal(value, pretrained[name]) for name, value in initial.items())
    code, output = synthreg_train("in-context", *arguments)
    assert code == 2 and "one_way=True" in output


def test_tasks_and_structures_are_excluded_by_options(synthreg_train, trainings, tmp_path, label_map_folder):
    arguments = ("--out", tmp_path / "run", "--labels", label_map_folder, "--validation-cases", 1, "--width", 4)
    arguments = (*arguments, "--one-way", "--exclude-tasks", "motion, lesion")
    assert synthreg_train("in-context", *arguments, "--exclude-structures", "thalamus")[0] == 0
    task = trainings[0][0]
    assert task.model.config.one_way and task.config.episode.excluded_tasks == ("motion", "lesion")
    assert task.source.hidden_labels
    code, output = synthreg_train("in-context", *arguments[:-1], "dancing")
    assert code == 2 and "'dancing'" in output


def test_a_training_is_exported(synthreg_train, write_checkpoint, provenance_file, tmp_path):
    model = Neuralizer(NeuralizerConfig(4, 2))
    arguments = ("--training", write_checkpoint("run", model), "--provenance", provenance_file, "--out", tmp_path / "w")
    code, output = synthreg_train("export-in-context", "tiny", *arguments)
    assert code == 0, output
    assert NeuralizerConfig(**read_card("tiny", tmp_path / "w").architecture) == model.config
