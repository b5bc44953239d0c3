from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.synth.ensembles import EnsembleConfig
from SlicerSynthReg.synth.shapes import ShapesConfig
from SlicerSynthReg.synth.templates import TemplateConfig
from SlicerSynthReg.train import features
from SlicerSynthReg.train.features import FeatureTask, FeatureTaskConfig, balanced_points, located_share

from .conftest import SMALL_UNET

SMALL = FeatureTaskConfig(
    ShapesConfig(), SMALL_UNET, crop=32, points=200, levels=(-1, 1), projection=0, place_levels=(-1, 1)
)


@pytest.fixture
def a_task() -> FeatureTask:
    torch.manual_seed(0)
    return FeatureTask(SMALL)


@pytest.fixture
def the_views(monkeypatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Labels and images of every pair of views that a task makes, as they are made."""
    made: list[tuple[torch.Tensor, torch.Tensor]] = []
    seen = FeatureTask._seen

    def watched(task: FeatureTask, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        made.append((labels, seen(task, labels, generator)))
        return made[-1][1]

    monkeypatch.setattr(FeatureTask, "_seen", watched)
    return made


class Labelling:
    """A network that sees the labels: its features at each level are their indicators, (2, 26, ...)."""

    def __init__(self, views: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.views = views

    def __call__(self, images: torch.Tensor, levels: tuple[int, ...]) -> list[torch.Tensor]:
        return [F.one_hot(self.views[-1][0].long(), 26).movedim(-1, 1).float() for _ in levels]


class Placing:
    """A network that knows where each voxel comes from: the warp's index, as features."""

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
def test_matched_places_show_the_same_in_both_views(a_task, the_views, seeded, seed):
    """The two crops lie 12 voxels and 12 degrees apart: read at the same voxel, they would rarely agree."""
    a_task.config = replace(SMALL, levels=(-1,))
    matched = a_task._matched(Labelling(the_views), seed, seeded(seed), 300)
    first, second = (z[0].argmax(1) for z in (matched.z1, matched.z2))
    assert (second == matched.labels).float().mean() > 0.99
    agree = float((first == matched.labels).float().mean())
    i, j, k = matched.second.long().T
    unmoved = float((the_views[0][0][0, i, j, k] == matched.labels).float().mean())
    assert agree > 0.8 and agree - unmoved > 0.5 * (1 - unmoved)


def test_matched_places_are_one_place_of_the_map(a_task, seeded, monkeypatch):
    a_task.config = replace(SMALL, levels=(-1,))
    matched = a_task._matched(Placing(monkeypatch), 0, seeded(0), 300)
    assert torch.allclose(matched.z1[0], matched.z2[0], atol=1e-3)
    assert (matched.first - matched.second).abs().max() > 4


def test_the_two_views_differ_in_contrast_and_place(a_task, the_views, seeded):
    a_task._matched(a_task.model, 0, seeded(0), 50)
    (one, two), images = the_views[0]
    assert not torch.equal(one, two) and (images[0] - images[1]).abs().mean() > 0.05


def test_places_are_within_both_crops_and_as_many_as_asked(a_task, seeded):
    matched = a_task._matched(a_task.model, 0, seeded(0), 200)
    assert len(matched.labels) == len(matched.second) == len(matched.z1[0]) == len(matched.z2[1]) <= 200
    assert len(matched.labels) > 60
    for places in (matched.first, matched.second):
        assert places.min() >= 0 and places.max() <= 31


def test_coarse_features_are_read_at_the_middle_of_their_blocks():
    """Features that say where they are: (i, j, k) of the voxel's centre at full resolution."""
    level, block = 2, 4
    centres = (torch.arange(5.0) * block) + (block - 1) / 2
    field = torch.stack(torch.meshgrid(centres, centres, centres, indexing="ij"))[None]
    at = torch.tensor([[5.5, 1.5, 9.5], [7.0, 12.0, 3.0]]).T
    assert torch.allclose(features._read(field, at, level), at.T, atol=1e-5)


def test_small_labels_are_drawn_more_often_than_they_occur(seeded):
    labels = torch.ones((20, 20, 20), dtype=torch.uint8)
    labels[:2] = 2  # a tenth
    labels[-4:] = 0  # background, a fifth
    points = balanced_points(labels, 400, seeded(0))
    assert len(points) == 400 and len(points.unique()) > 350
    share = torch.bincount(labels.flatten()[points].long(), minlength=3) / 400
    # size / sqrt(size): sqrt(5600) to sqrt(800) = 73 % to 27 %; the background's sqrt(1600) counts a tenth
    assert float(share[2]) == pytest.approx(0.26, abs=0.07) and float(share[0]) < 0.1


def test_located_is_one_where_features_know_their_place_and_half_where_they_are_noise(seeded):
    index = index_lattice((24, 24, 24))
    places = torch.randint(8, 16, (80, 3), generator=seeded(0)).float()
    knowing = torch.stack([index, index - 3.0])  # what lies at x in the first lies at x + 3 in the second
    shifted = torch.stack([index, index.clone()])
    assert located_share(shifted, places, places) == pytest.approx(1.0)
    assert located_share(knowing, places, places + 3) == pytest.approx(1.0)
    assert located_share(knowing, places, places) < 0.9
    noise = torch.randn((2, 8, 24, 24, 24), generator=seeded(1))
    assert located_share(noise, places, places) == pytest.approx(0.5, abs=0.1)
    assert located_share(torch.ones_like(noise), places, places) == pytest.approx(0.5)  # equal ones count half


@pytest.mark.parametrize(
    "config",
    [SMALL, replace(SMALL, engine=EnsembleConfig(), projection=16, levels=(-1, 0, 2), place_levels=(-1,))],
    ids=["as they are", "through heads"],
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
    assert set(terms) == {"loss", *(f"label{n}" for n in config.levels), *(f"place{n}" for n in config.place_levels)}


def test_labels_alone_as_in_the_paper(seeded):
    torch.manual_seed(0)
    task = FeatureTask(replace(SMALL, place=0.0, place_levels=()))
    terms = task.loss(0)
    labels = [value for name, value in terms.items() if name.startswith("label")]
    assert float(terms["loss"]) == pytest.approx(float(sum(labels) / len(labels))) and len(terms) == 3


def test_a_step_depends_on_its_number_only(a_task):
    one, again, other = (float(a_task.loss(step)["loss"].detach()) for step in (3, 3, 4))
    assert one == again != other


def test_one_label_map_serves_several_steps_in_contrasts_of_their_own(a_task, the_views):
    for step in range(SMALL.serves + 1):
        a_task.loss(step)
    assert a_task._map.cache_info().misses == 2
    assert (the_views[0][1] - the_views[1][1]).abs().mean() > 0.05


def test_given_masks_are_painted(seeded):
    mask = torch.full((8, 8, 8), 255, dtype=torch.uint8)
    engine = EnsembleConfig((5, 5), TemplateConfig(given=1.0), foreground=0.0)
    task = FeatureTask(replace(SMALL, engine=engine), masks=(mask,))
    made = task._made(0)
    assert made.any() and torch.equal(made, task._made(0))
    assert not torch.equal(made, FeatureTask(replace(SMALL, engine=engine), masks=(mask // 255 * 0,))._made(0))


def test_validation_is_right_for_a_network_that_sees_the_labels(a_task, the_views):
    a_task.config = replace(SMALL, levels=(-1,))
    scores = a_task.validate(Labelling(the_views))
    assert scores["label"] > 0.8 > scores["located"]  # it knows what it sees, not where within it


def test_validation_is_right_for_a_network_that_knows_the_place(a_task, monkeypatch):
    a_task.config = replace(SMALL, levels=(-1,))
    assert a_task.validate(Placing(monkeypatch))["score"] > 0.9
