from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig
from SlicerSynthReg.synth.question import QuestionConfig
from SlicerSynthReg.synth.slices import SliceConfig
from SlicerSynthReg.synth.tasks import TASKS
from SlicerSynthReg.train.context import ContextTask, ContextTaskConfig, score
from SlicerSynthReg.train.neuralizer import config_of, sources

SMALL = ContextTaskConfig(
    NeuralizerConfig(width=4, stages=2),
    QuestionConfig(SliceConfig(side=16)),
    questions=2,
    examples=(1, 3),
    judged_with=2,
    judged=1,
)


@pytest.fixture
def a_training(four_heads) -> ContextTask:
    torch.manual_seed(0)
    return ContextTask(SMALL, *sources(four_heads, 2, ("hippocampus",)))


def test_a_step_depends_on_its_number_alone(a_training):
    with torch.no_grad():
        first, second = a_training.loss(3)["loss"], a_training.loss(4)["loss"]
        assert torch.equal(a_training.loss(3)["loss"], first) and not torch.equal(first, second)


def test_hidden_structures_are_hidden_in_training_only(a_training, four_heads):
    hidden = {four_heads.values[n] for n in a_training.source.hidden}
    assert hidden == {17, 53} and a_training.unseen.hidden == ()


def test_every_task_is_judged_and_those_left_out_do_not_choose_the_checkpoint(four_heads):
    question = dataclasses.replace(SMALL.question, without=tuple(name for name in TASKS if name != "motion"))
    config = dataclasses.replace(SMALL, question=question)
    task = ContextTask(config, *sources(four_heads, 2))
    with torch.no_grad():
        scores = task.validate(task.model)
    assert set(scores) == {"score", *(name.replace(" ", "_") for name in TASKS)}
    assert scores["score"] == pytest.approx(scores["motion"] / 40)


def test_the_loss_falls_on_one_question(a_training):
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
def test_weights_tell_their_configuration(config):
    assert config_of(Neuralizer(config).state_dict()) == config


def test_scores_are_dice_and_psnr():
    truth = torch.zeros(1, 4, 4)
    truth[:, :2] = 1
    answer = truth.clone()
    answer[:, 1] = 0.4
    assert score(answer, truth, True) == pytest.approx(2 * 4 / (4 + 8))
    assert score(truth + 0.0, truth, False) == pytest.approx(60)
    assert score(torch.full_like(truth, 0.5), truth, False) == pytest.approx(6.0206, abs=1e-3)
