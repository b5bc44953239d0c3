from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.synthesis.pair import View
from SlicerSynthReg.synthesis.tissues import BRAIN_STRUCTURES, STRUCTURES
from SlicerSynthReg.training.anatomy import AnatomyTask, AnatomyTaskConfig

from .conftest import SMALL_UNET

COUNT = len(STRUCTURES)


@pytest.fixture
def task(four_heads) -> AnatomyTask:
    torch.manual_seed(0)
    return AnatomyTask(AnatomyTaskConfig(net=SMALL_UNET, crop=24, views=2), four_heads, validation_cases=1)


def one_hot_logits(labels: torch.Tensor, count: int, strength: float = 20.0) -> torch.Tensor:
    return strength * F.one_hot(labels, count).movedim(-1, 1).float()


def test_the_loss_depends_on_the_step_number_only(task):
    one, again, other = (float(task.loss(step)["loss"].detach()) for step in (3, 3, 4))
    assert one == again != other


def test_the_loss_is_that_of_structures_plus_half_the_lateral(task):
    terms = {name: float(value.detach()) for name, value in task.loss(0).items()}
    assert terms["loss"] == pytest.approx(terms["structures"] + 0.5 * terms["lateral"], rel=1e-5)


def test_a_few_steps_lower_the_loss(task):
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        terms = task.loss(0)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append({name: float(value.detach()) for name, value in terms.items()})
    assert all(losses[-1][name] < losses[0][name] - 0.1 for name in ("loss", "structures", "lateral"))


def predict_truth(task: AnatomyTask, monkeypatch, shift: int) -> None:
    """Let the task's network predict the labels of the last view, shifted by some voxels."""
    views: list[View] = []
    draw = task._views

    def watched(*given) -> View:
        views.append(draw(*given))
        return views[-1]

    def logits(model, images) -> tuple[torch.Tensor, torch.Tensor]:
        truth = task.structure[views[-1].labels.long()]
        return one_hot_logits(truth.roll(shift, 1), COUNT), torch.zeros(1)

    monkeypatch.setattr(task, "_views", watched)
    monkeypatch.setattr(task, "_logits", logits)


def test_validation_is_one_for_the_true_labels_and_less_for_shifted_ones(task, monkeypatch):
    with monkeypatch.context() as patch:
        predict_truth(task, patch, 0)
        right = task.validate(task.model)
    predict_truth(task, monkeypatch, 2)
    shifted = task.validate(task.model)
    assert set(right) == {"score", "brain", *(name.replace(" ", "_") for name in STRUCTURES)}
    assert all(value == pytest.approx(1) for value in right.values())
    assert 0.05 < shifted["score"] < 0.6 and shifted["score"] < shifted["brain"] < 1
    of_brain = [shifted[name.replace(" ", "_")] for name in BRAIN_STRUCTURES]
    assert shifted["score"] == pytest.approx(sum(of_brain) / len(of_brain))  # structures of the brain only


def test_validation_uses_validation_subjects(task, monkeypatch):
    used = []

    def watched(maps, generator, count) -> View:
        used.append(maps)
        raise StopIteration

    monkeypatch.setattr(task, "_views", watched)
    with pytest.raises(StopIteration):
        task.validate(task.model)
    with pytest.raises(StopIteration):
        task.loss(0)
    assert used[0] is task.validation_maps and used[1] is task.training_maps
    assert len(task.validation_maps) == 1 and len(task.training_maps) == 3


def test_logits_depend_on_the_features_direction_only(task):
    images = torch.rand(1, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    fine, coarse = task._logits(task.model, images)
    assert fine.shape == (1, COUNT, 24, 24, 24) and coarse.shape == (1, 54, 6, 6, 6)
    assert fine.abs().max() <= 1 / task.config.temperature + 1e-4
    with torch.no_grad():
        task.model.prototypes.weight.mul_(3.0)
    assert torch.allclose(task._logits(task.model, images)[0], fine, atol=1e-4)


def test_left_and_right_are_separate_classes_at_the_lateral_level_only(task, four_heads):
    left, right = four_heads.values.index(10), four_heads.values.index(49)
    assert task.structure[left] == task.structure[right]
    assert task.model.lateral_prototypes.out_features == len(four_heads.values) > task.model.prototypes.out_features


def test_a_batch_has_one_view_for_each_subject(task):
    task.config = replace(task.config, views=3)
    view = task._views(task.training_maps, torch.Generator().manual_seed(0), 3)
    assert view.image.shape == (3, 1, 24, 24, 24) and view.labels.shape == (3, 24, 24, 24)
    assert not torch.equal(view.labels[0], view.labels[1])


def test_a_skull_stripped_head_is_background_outside_the_brain(task):
    whole = replace(task.config, skull_strip_probability=0.0)
    task.config = replace(task.config, skull_strip_probability=1.0)
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    stripped = task._views(task.training_maps, generators[0], 1)
    task.config = whole
    outside = task.structure[stripped.labels.long()] == 0
    assert set(stripped.labels[outside].unique().tolist()) == {0} and bool((~outside).any())
    seen = task._views(task.training_maps, generators[1], 1)
    beyond = task.structure[seen.labels.long()] == 0
    assert len(seen.labels[beyond].unique()) > 1
