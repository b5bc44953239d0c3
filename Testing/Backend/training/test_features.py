from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.synthesis.ensembles import EnsembleConfig
from SlicerSynthReg.synthesis.shapes import ShapesConfig
from SlicerSynthReg.synthesis.templates import TemplateConfig
from SlicerSynthReg.training import features
from SlicerSynthReg.training.features import (
    ContrastiveConfig,
    FeatureTask,
    FeatureTaskConfig,
    localisation_accuracy,
    sample_points,
)

from .conftest import SMALL_UNET

LOSSES = ContrastiveConfig(points=200, levels=(-1, 1), projection=0, position_levels=(-1, 1))
SMALL = FeatureTaskConfig(ShapesConfig(), SMALL_UNET, LOSSES, crop=32)


@pytest.fixture
def task() -> FeatureTask:
    torch.manual_seed(0)
    return FeatureTask(SMALL)


@pytest.fixture
def views(monkeypatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Labels and images of every pair of views that a task renders."""
    made: list[tuple[torch.Tensor, torch.Tensor]] = []
    render = FeatureTask._render

    def watched(task: FeatureTask, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        made.append((labels, render(task, labels, generator)))
        return made[-1][1]

    monkeypatch.setattr(FeatureTask, "_render", watched)
    return made


class LabelNetwork:
    """A network whose features at each level are the labels' indicators, (2, 26, ...)."""

    def __init__(self, views: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.views = views

    def __call__(self, images: torch.Tensor, levels: tuple[int, ...]) -> list[torch.Tensor]:
        return [F.one_hot(self.views[-1][0].long(), 26).movedim(-1, 1).float() for _ in levels]


class PositionNetwork:
    """A network whose features are the positions in the label map."""

    def __init__(self, monkeypatch) -> None:
        self.index = torch.empty(0)
        warp = features.warp_index

        def watched(*given) -> torch.Tensor:
            self.index = warp(*given)
            return self.index

        monkeypatch.setattr(features, "warp_index", watched)

    def __call__(self, images: torch.Tensor, levels: tuple[int, ...]) -> list[torch.Tensor]:
        return [self.index for _ in levels]


@pytest.mark.parametrize("seed", range(3))
def test_corresponding_points_have_the_same_label_in_both_views(task, views, seeded, seed):
    """The two crops lie 12 voxels and 12 degrees apart: labels at the same voxel would rarely agree."""
    task.config = replace(SMALL, losses=replace(LOSSES, levels=(-1,)))
    found = task._correspondences(LabelNetwork(views), seed, seeded(seed), 300)
    first, second = (z[0].argmax(1) for z in (found.z1, found.z2))
    assert (second == found.labels).float().mean() > 0.99
    agree = float((first == found.labels).float().mean())
    i, j, k = found.second.long().T
    unmoved = float((views[0][0][0, i, j, k] == found.labels).float().mean())
    assert agree > 0.8 and agree - unmoved > 0.5 * (1 - unmoved)


def test_corresponding_points_are_one_position_of_the_map(task, seeded, monkeypatch):
    task.config = replace(SMALL, losses=replace(LOSSES, levels=(-1,)))
    found = task._correspondences(PositionNetwork(monkeypatch), 0, seeded(0), 300)
    assert torch.allclose(found.z1[0], found.z2[0], atol=1e-3)
    assert (found.first - found.second).abs().max() > 4


def test_the_two_views_differ_in_contrast_and_crop(task, views, seeded):
    task._correspondences(task.model, 0, seeded(0), 50)
    (one, two), images = views[0]
    assert not torch.equal(one, two) and (images[0] - images[1]).abs().mean() > 0.05


def test_points_are_within_both_crops_and_at_most_as_many_as_requested(task, seeded):
    found = task._correspondences(task.model, 0, seeded(0), 200)
    assert len(found.labels) == len(found.second) == len(found.z1[0]) == len(found.z2[1]) <= 200
    assert len(found.labels) > 60
    for points in (found.first, found.second):
        assert points.min() >= 0 and points.max() <= 31


def test_coarse_features_are_sampled_at_the_centre_of_their_blocks():
    """Features are the full-resolution coordinates of their voxel's centre."""
    level, block = 2, 4
    centres = (torch.arange(5.0) * block) + (block - 1) / 2
    field = torch.stack(torch.meshgrid(centres, centres, centres, indexing="ij"))[None]
    at = torch.tensor([[5.5, 1.5, 9.5], [7.0, 12.0, 3.0]]).T
    assert torch.allclose(features._sample_level(field, at, level), at.T, atol=1e-5)


def test_small_labels_are_sampled_more_often_than_they_occur(seeded):
    labels = torch.ones((20, 20, 20), dtype=torch.uint8)
    labels[:2] = 2  # a tenth
    labels[-4:] = 0  # background, a fifth
    points = sample_points(labels, 400, seeded(0))
    assert len(points) == 400 and len(points.unique()) > 350
    fraction = torch.bincount(labels.flatten()[points].long(), minlength=3) / 400
    # size / sqrt(size): sqrt(5600) to sqrt(800) = 73 % to 27 %; the background's sqrt(1600) counts a tenth
    assert float(fraction[2]) == pytest.approx(0.26, abs=0.07) and float(fraction[0]) < 0.1


def test_localisation_accuracy_is_one_for_positions_and_half_for_noise(seeded):
    index = index_lattice((24, 24, 24))
    points = torch.randint(8, 16, (80, 3), generator=seeded(0)).float()
    positions = torch.stack([index, index - 3.0])  # x in the first view is x + 3 in the second
    shifted = torch.stack([index, index.clone()])
    assert localisation_accuracy(shifted, points, points) == pytest.approx(1.0)
    assert localisation_accuracy(positions, points, points + 3) == pytest.approx(1.0)
    assert localisation_accuracy(positions, points, points) < 0.9
    noise = torch.randn((2, 8, 24, 24, 24), generator=seeded(1))
    assert localisation_accuracy(noise, points, points) == pytest.approx(0.5, abs=0.1)
    assert localisation_accuracy(torch.ones_like(noise), points, points) == pytest.approx(0.5)  # ties count half


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(
            SMALL,
            engine=EnsembleConfig(),
            losses=replace(LOSSES, projection=16, levels=(-1, 0, 2), position_levels=(-1,)),
        ),
    ],
    ids=["without heads", "with projection heads"],
)
def test_a_few_steps_lower_the_loss(config):
    torch.manual_seed(0)
    task = FeatureTask(config)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-3)
    losses = []
    for _ in range(8):
        terms = task.loss(1)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(float(terms["loss"].detach()))
    assert losses[-1] < losses[0] - 0.3
    assert set(terms) == {
        "loss",
        *(f"label{n}" for n in config.losses.levels),
        *(f"position{n}" for n in config.losses.position_levels),
    }


def test_the_papers_loss_is_the_mean_over_levels(seeded):
    torch.manual_seed(0)
    task = FeatureTask(replace(SMALL, losses=replace(LOSSES, position_weight=0.0, position_levels=())))
    terms = task.loss(0)
    values = {name: float(value.detach()) for name, value in terms.items()}
    labels = [value for name, value in values.items() if name.startswith("label")]
    assert values["loss"] == pytest.approx(sum(labels) / len(labels)) and len(values) == 3


def test_the_loss_depends_on_the_step_number_only(task):
    one, again, other = (float(task.loss(step)["loss"].detach()) for step in (3, 3, 4))
    assert one == again != other


def test_a_label_map_serves_several_steps_with_new_contrasts(task, views):
    for step in range(SMALL.steps_per_map + 1):
        task.loss(step)
    assert task._label_map.cache_info().misses == 2
    assert (views[0][1] - views[1][1]).abs().mean() > 0.05


def test_given_masks_are_templates(seeded):
    mask = torch.full((8, 8, 8), 255, dtype=torch.uint8)
    engine = EnsembleConfig((5, 5), TemplateConfig(mask_fraction=1.0), foreground=0.0)
    task = FeatureTask(replace(SMALL, engine=engine), masks=(mask,))
    labels = task._make_label_map(0)
    assert labels.any() and torch.equal(labels, task._make_label_map(0))
    assert not torch.equal(
        labels, FeatureTask(replace(SMALL, engine=engine), masks=(mask // 255 * 0,))._make_label_map(0)
    )


def test_validation_of_a_network_that_returns_the_labels(task, views):
    task.config = replace(SMALL, losses=replace(LOSSES, levels=(-1,)))
    scores = task.validate(LabelNetwork(views))
    assert scores["label"] > 0.8 > scores["localisation"]


def test_validation_of_a_network_that_returns_positions(task, monkeypatch):
    task.config = replace(SMALL, losses=replace(LOSSES, levels=(-1,)))
    assert task.validate(PositionNetwork(monkeypatch))["score"] > 0.9
