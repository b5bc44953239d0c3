from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.synth.pair import View
from SlicerSynthReg.synth.tissues import ANATOMY, BRAIN
from SlicerSynthReg.train.anatomy import AnatomyTask, AnatomyTaskConfig, label_loss

from .conftest import SMALL_UNET

COUNT = len(ANATOMY)


@pytest.fixture
def a_task(four_heads) -> AnatomyTask:
    torch.manual_seed(0)
    return AnatomyTask(AnatomyTaskConfig(net=SMALL_UNET, crop=24, people=2), four_heads, held_out=1)


def blocks(seed: int) -> torch.Tensor:
    """(1, 16, 16, 16) five labels in blocks of four voxels."""
    small = torch.randint(0, 5, (1, 4, 4, 4), generator=torch.Generator().manual_seed(seed))
    return small.repeat_interleave(4, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)


def sure(labels: torch.Tensor, count: int = 5, strength: float = 20.0) -> torch.Tensor:
    return strength * F.one_hot(labels, count).movedim(-1, 1).float()


def test_the_right_answer_costs_nothing_a_shifted_one_more_a_wrong_one_most():
    labels = blocks(0)
    right, shifted, wrong = (
        float(label_loss(sure(answer), labels)) for answer in (labels, labels.roll(1, 1), (labels + 1) % 5)
    )
    assert right < 1e-3 < 1 < shifted < wrong


def test_the_cost_of_not_knowing_by_hand():
    """Uniform over L labels: cross-entropy log L; Dice of a label of n voxels against 1/L: 2 n/L / (n + V/L^2)."""
    labels = torch.zeros((1, 2, 2, 2), dtype=torch.long)
    labels[0, 0] = 1
    dice = 2 * (4 / 2) / (4 + 8 / 4)
    expected = torch.log(torch.tensor(2.0)) + 1 - dice
    assert float(label_loss(torch.zeros(1, 2, 2, 2, 2), labels)) == pytest.approx(float(expected), rel=1e-5)


def test_a_step_depends_on_its_number_only(a_task):
    one, again, other = (float(a_task.loss(step)["loss"].detach()) for step in (3, 3, 4))
    assert one == again != other


def test_the_loss_is_of_structures_and_half_of_sides(a_task):
    terms = {name: float(value.detach()) for name, value in a_task.loss(0).items()}
    assert terms["loss"] == pytest.approx(terms["structures"] + 0.5 * terms["sides"], rel=1e-5)


def test_a_few_steps_lower_the_loss(a_task):
    optimizer = torch.optim.Adam(a_task.model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        terms = a_task.loss(0)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append({name: float(value.detach()) for name, value in terms.items()})
    assert all(losses[-1][name] < losses[0][name] - 0.1 for name in ("loss", "structures", "sides"))


def answering(task: AnatomyTask, monkeypatch, shift: int) -> None:
    """The task's network says the truth of the last view, shifted by some voxels."""
    views: list[View] = []
    draw = task._view

    def watched(*given) -> View:
        views.append(draw(*given))
        return views[-1]

    def logits(model, images) -> tuple[torch.Tensor, torch.Tensor]:
        truth = task.structure[views[-1].labels.long()]
        return sure(truth.roll(shift, 1), COUNT), torch.zeros(1)

    monkeypatch.setattr(task, "_view", watched)
    monkeypatch.setattr(task, "_logits", logits)


def test_validation_gives_one_for_the_truth_and_less_for_a_shifted_one(a_task, monkeypatch):
    with monkeypatch.context() as patch:
        answering(a_task, patch, 0)
        right = a_task.validate(a_task.model)
    answering(a_task, monkeypatch, 2)
    shifted = a_task.validate(a_task.model)
    assert set(right) == {"score", "brain", *(name.replace(" ", "_") for name in ANATOMY)}
    assert all(value == pytest.approx(1) for value in right.values())
    assert 0.05 < shifted["score"] < 0.6 and shifted["score"] < shifted["brain"] < 1
    of_brain = [shifted[name.replace(" ", "_")] for name in BRAIN]
    assert shifted["score"] == pytest.approx(sum(of_brain) / len(of_brain))  # without what is around the brain


def test_validation_is_of_people_left_out(a_task, monkeypatch):
    asked = []

    def watched(maps, generator, people) -> View:
        asked.append(maps)
        raise StopIteration

    monkeypatch.setattr(a_task, "_view", watched)
    with pytest.raises(StopIteration):
        a_task.validate(a_task.model)
    with pytest.raises(StopIteration):
        a_task.loss(0)
    assert asked[0] is a_task.unseen and asked[1] is a_task.maps
    assert len(a_task.unseen) == 1 and len(a_task.maps) == 3


def test_features_are_compared_by_direction_only(a_task):
    images = torch.rand(1, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    fine, coarse = a_task._logits(a_task.model, images)
    assert fine.shape == (1, COUNT, 24, 24, 24) and coarse.shape == (1, 54, 6, 6, 6)
    assert fine.abs().max() <= 1 / a_task.config.temperature + 1e-4
    with torch.no_grad():
        a_task.model.prototypes.weight.mul_(3.0)
    assert torch.allclose(a_task._logits(a_task.model, images)[0], fine, atol=1e-4)


def test_left_and_right_are_told_apart_at_the_level_of_sides_only(a_task, four_heads):
    left, right = four_heads.values.index(10), four_heads.values.index(49)
    assert a_task.structure[left] == a_task.structure[right]
    assert a_task.model.sides.out_features == len(four_heads.values) > a_task.model.prototypes.out_features


def test_more_people_are_more_views(a_task):
    a_task.config = replace(a_task.config, people=3)
    view = a_task._view(a_task.maps, torch.Generator().manual_seed(0), 3)
    assert view.image.shape == (3, 1, 24, 24, 24) and view.labels.shape == (3, 24, 24, 24)
    assert not torch.equal(view.labels[0], view.labels[1])


def test_a_stripped_head_is_black_outside_its_brain(a_task):
    whole = replace(a_task.config, stripped=0.0)
    a_task.config = replace(a_task.config, stripped=1.0)
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    stripped = a_task._view(a_task.maps, generators[0], 1)
    a_task.config = whole
    outside = a_task.structure[stripped.labels.long()] == 0
    assert set(stripped.labels[outside].unique().tolist()) == {0} and bool((~outside).any())
    seen = a_task._view(a_task.maps, generators[1], 1)
    beyond = a_task.structure[seen.labels.long()] == 0
    assert len(seen.labels[beyond].unique()) > 1
