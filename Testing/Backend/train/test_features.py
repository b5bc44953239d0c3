from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.synth.pair import View
from SlicerSynthReg.train import features
from SlicerSynthReg.train.features import FeatureTask, FeatureTaskConfig, balanced_points

from .conftest import SMALL_UNET

SMALL = FeatureTaskConfig(net=SMALL_UNET, crop=32, points=200, levels=(0, 1))


@pytest.fixture
def a_task() -> FeatureTask:
    torch.manual_seed(0)
    return FeatureTask(SMALL)


@pytest.fixture
def the_views(monkeypatch) -> list[View]:
    """Every view that a task makes, as it is made."""
    made: list[View] = []
    make = features.view_at

    def watched(*given) -> View:
        made.append(make(*given))
        return made[-1]

    monkeypatch.setattr(features, "view_at", watched)
    return made


class Labelling:
    """A network that sees the labels: its features at each level are their indicators, (2, 26, ...)."""

    def __init__(self, views: list[View]) -> None:
        self.views = views

    def __call__(self, images: torch.Tensor, levels: tuple[int, ...]) -> list[torch.Tensor]:
        labels = torch.cat([view.labels for view in self.views[-2:]]).long()
        return [F.one_hot(labels, 26).movedim(-1, 1).float() for _ in levels]


@pytest.mark.parametrize("seed", range(3))
def test_matched_places_show_the_same_in_both_views(a_task, the_views, seeded, seed):
    """The two crops lie 12 voxels and 12 degrees apart: read at the same voxel, they would rarely agree."""
    a_task.config = replace(SMALL, levels=(0,))
    matched = a_task._matched(Labelling(the_views), seeded(seed), 300)
    first, second = (z[0].argmax(1) for z in (matched.z1, matched.z2))
    assert (second == matched.labels).float().mean() > 0.99
    agree = float((first == matched.labels).float().mean())
    i, j, k = matched.places.long().T
    unmoved = float((the_views[0].labels[0, i, j, k] == matched.labels).float().mean())
    assert agree > 0.8 and agree - unmoved > 0.5 * (1 - unmoved)


def test_the_two_views_differ_in_contrast(a_task, the_views, seeded):
    a_task._matched(Labelling(the_views), seeded(0), 50)
    one, two = the_views
    assert not torch.equal(one.labels, two.labels) and (one.image - two.image).abs().mean() > 0.05


def test_places_are_within_both_crops_and_as_many_as_asked(a_task, seeded):
    matched = a_task._matched(a_task.model, seeded(0), 200)
    assert len(matched.labels) == len(matched.places) == len(matched.z1[0]) == len(matched.z2[1]) <= 200
    assert len(matched.labels) > 60
    assert matched.places.min() >= 0 and matched.places.max() <= 31
    assert all(torch.allclose(z.norm(dim=1), torch.ones(len(z)), atol=1e-5) for z in (*matched.z1, *matched.z2))


def test_coarse_features_are_read_at_the_middle_of_their_blocks():
    """Features that say where they are: (i, j, k) of the voxel's centre at full resolution, here as directions."""
    level, block = 2, 4
    centres = (torch.arange(5.0) * block) + (block - 1) / 2
    field = torch.stack(torch.meshgrid(centres, centres, centres, indexing="ij"))[None]
    at = torch.tensor([[5.5, 1.5, 9.5], [7.0, 12.0, 3.0]]).T
    found = features._read(field, at, level)
    assert torch.allclose(found, F.normalize(at.T, dim=1), atol=1e-5)


def test_small_labels_are_drawn_more_often_than_they_occur(seeded):
    labels = torch.ones((20, 20, 20), dtype=torch.uint8)
    labels[:2] = 2  # a tenth
    labels[-4:] = 0  # background, a fifth
    points = balanced_points(labels, 400, seeded(0))
    assert len(points) == 400 and len(points.unique()) > 350
    share = torch.bincount(labels.flatten()[points].long(), minlength=3) / 400
    # size / sqrt(size): sqrt(5600) to sqrt(800) = 73 % to 27 %; the background's sqrt(1600) counts a tenth
    assert float(share[2]) == pytest.approx(0.26, abs=0.07) and float(share[0]) < 0.1


def test_a_few_steps_lower_the_loss(a_task):
    optimizer = torch.optim.Adam(a_task.model.parameters(), lr=5e-3)
    losses = []
    for _ in range(8):
        terms = a_task.loss(1)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(float(terms["loss"].detach()))
    assert losses[-1] < losses[0] - 0.3
    assert set(terms) == {"loss", "place0", "label0", "place1", "label1"}


def test_a_step_depends_on_its_number_only(a_task):
    one, again, other = (float(a_task.loss(step)["loss"].detach()) for step in (3, 3, 4))
    assert one == again != other


def test_validation_is_right_for_a_network_that_sees_the_labels(a_task, the_views):
    a_task.config = replace(SMALL, levels=(0,))
    scores = a_task.validate(Labelling(the_views))
    assert scores["label"] > 0.8 > scores["place"]  # it knows what it sees, not where within it
    assert scores["score"] == pytest.approx(scores["place"] + scores["label"])
