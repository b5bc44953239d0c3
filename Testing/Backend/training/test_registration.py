from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from SlicerSynthReg.networks.extractor import Extractor, ExtractorConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.networks.window_attention import TransformerConfig
from SlicerSynthReg.registration.synthmorph import SynthMorph, SynthMorphConfig
from SlicerSynthReg.report.curves import plot_training
from SlicerSynthReg.spatial.transform import exponential
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.training.loop import LoopConfig, train
from SlicerSynthReg.training.pairs import PairSource, make_pair
from SlicerSynthReg.training.registration import (
    LOSSES,
    RegistrationTask,
    RegistrationTaskConfig,
    label_fractions,
    warp,
)

from .conftest import SMALL_MATCHING, SMALL_PAIRS, SMALL_UNET

SMALL_WINDOWS = TransformerConfig(widths=(8, 8, 16), heads=(2, 4))
PAPERS = UNetConfig(2, 3, (8, 8, 8), finest=1, norm="none")


def small_synthmorph(seed: int = 0) -> SynthMorph:
    torch.manual_seed(seed)
    return SynthMorph(SynthMorphConfig(SMALL_UNET, SMALL_MATCHING))


def make_task(loss: str = "dice", network: str = "matching", freeze: bool = False, maps=None) -> RegistrationTask:
    model = small_synthmorph()
    config = RegistrationTaskConfig(loss, network, freeze, unet=PAPERS, transformer=SMALL_WINDOWS, pairs=SMALL_PAIRS)
    start = model if network == "matching" else None
    return RegistrationTask(
        config, maps, start, validation_cases=2, extractor=small_extractor() if loss == "deepsim" else None
    )


def small_extractor() -> Extractor:
    torch.manual_seed(1)
    return Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 8, 8)), (1, 2))).eval()


def known_pair(seed: int = 0):
    shapes = PairSource([], IntensityTables.independent(SMALL_PAIRS.shapes.labels))
    return make_pair(SMALL_PAIRS, LOSSES["velocity"], shapes, torch.Generator().manual_seed(seed))


def test_label_fractions_by_hand():
    """One block: three voxels of label 1, two of label 2, one of label 3, which counts as 1, and two not scored."""
    labels = torch.tensor([1, 1, 2, 0, 3, 1, 0, 2], dtype=torch.uint8).view(1, 2, 2, 2)
    both = torch.cat([labels, torch.full_like(labels, 2)], dim=3)
    fractions = label_fractions(both, (None, 0, 1, 0))
    assert fractions.shape == (1, 2, 1, 1, 2)
    assert fractions[0, :, 0, 0].T.tolist() == [[0.5, 0.25], [0.0, 1.0]]


def test_label_fractions_are_pooled_indicators_of_every_label(seeded):
    labels = torch.randint(0, 6, (1, 8, 6, 10), generator=seeded(0), dtype=torch.uint8)
    planes = torch.stack([(labels == n).float() for n in range(6)], 1)
    expected = torch.nn.functional.avg_pool3d(planes, 2)
    assert torch.equal(label_fractions(labels, tuple(range(6))), expected)


@pytest.mark.parametrize("loss", ["velocity", "displacement"])
def test_a_supervised_loss_is_zero_at_the_true_warp_and_largest_at_the_opposite(loss):
    pair, task = known_pair(), make_task(loss)
    right, still, wrong = (
        float(task.dissimilarity(pair, v, exponential(v, 5))) for v in (factor * pair.velocity for factor in (1, 0, -1))
    )
    assert right == 0 < still < wrong
    if loss == "velocity":
        assert wrong == pytest.approx(4 * still) and still == pytest.approx(float(pair.velocity.square().mean()))


def test_displacement_and_velocity_losses_compare_different_fields():
    pair = known_pair()
    u = exponential(pair.velocity, 5)
    assert float(make_task("displacement").dissimilarity(pair, torch.full_like(u, 9.0), u)) == 0
    assert float(make_task("velocity").dissimilarity(pair, pair.velocity, torch.full_like(u, 9.0))) == 0
    assert (u - pair.velocity).abs().max() > 0.05


@pytest.mark.parametrize("loss", ["dice", "mse", "ncc", "nmi", "hybrid"])
def test_every_other_loss_is_lower_at_the_true_warp(loss):
    """The same pair for each loss: labels, or images of one contrast."""
    task = make_task(loss)
    cheaper = 0
    for seed in range(4):
        pair = known_pair(seed)
        pair = replace(pair, velocity=None, images=(pair.fixed.labels[:, None] / 7, pair.moving.labels[:, None] / 7))
        velocity = known_pair(seed).velocity
        costs = [float(task.dissimilarity(pair, v, exponential(v, 5))) for v in (velocity, 0 * velocity, -velocity)]
        cheaper += costs[0] < min(costs[1:])
    assert cheaper == 4


def test_lambda_weights_the_regularisation_except_of_supervised_losses():
    for loss, spec in LOSSES.items():
        terms = {name: float(value.detach()) for name, value in make_task(loss).loss(5).items()}
        rest = terms["loss"] - terms["dissimilarity"]
        if spec.known_warp:
            assert rest == 0
        else:
            assert 0.099 * terms["regularisation"] < rest < 10.1 * terms["regularisation"], loss


def test_deepsim_has_a_gradient_in_both_orders_and_its_extractor_is_frozen(seeded):
    """Zero for equal images and no displacement; with one, positive with a gradient to the displacement."""
    task = make_task("deepsim")
    pair = known_pair()
    pair = replace(pair, velocity=None, images=(pair.fixed.image, pair.fixed.image))
    v = torch.zeros((1, 3, 12, 14, 10))
    random_v = (0.8 * torch.randn(v.shape, generator=seeded(0))).requires_grad_()
    for extract_first in (False, True):
        task.config = replace(task.config, extract_first=extract_first)
        assert float(task.dissimilarity(pair, v, v)) == pytest.approx(0.0, abs=1e-5)
        loss = task.dissimilarity(pair, random_v, random_v)
        loss.backward()
        assert float(loss.detach()) > 1e-3 and random_v.grad.abs().max() > 0
    assert not any(p.requires_grad for p in task.extractor.parameters())
    with pytest.raises(ValueError, match="deepsim"):
        RegistrationTask(replace(task.config, loss="dice"), None, extractor=small_extractor())


@pytest.mark.parametrize("network", ["unet", "transformer"])
def test_concatenating_networks_start_near_the_identity(network):
    """Their velocity has half resolution, is initially small, and depends on the order of the images."""
    task, pair = make_task("dice", network), known_pair()
    with torch.no_grad():
        v = task.model(pair.fixed.image, pair.moving.image, 1.0)
        assert v.shape == (1, 3, 12, 14, 10) and 0 < v.abs().max() < 1e-3
        assert not torch.equal(v, task.model(pair.moving.image, pair.fixed.image, 1.0))


def test_the_unet_is_trained_at_lambda_one():
    terms = {name: float(value.detach()) for name, value in make_task("dice", "unet").loss(5).items()}
    assert terms["loss"] - terms["dissimilarity"] == pytest.approx(terms["regularisation"], rel=1e-3, abs=1e-7)


@pytest.mark.parametrize(
    ("loss", "network"), [("dice", "transformer"), *itertools.product(LOSSES, ("matching", "unet"))]
)
def test_a_few_steps_on_one_pair_lower_the_loss(loss, network):
    task = make_task(loss, network)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=2e-3)
    losses = []
    for _ in range(10):
        terms = task.loss(2)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        losses.append(float(terms["loss"].detach()))
    assert losses[-1] < losses[0] - 1e-4 and all(map(math.isfinite, losses))


def test_training_computes_the_velocity_of_the_model():
    """Training does not compute the finest features; the velocity must be that of the exported model."""
    task, pair = make_task(freeze=True), known_pair()
    model = task.model.model
    seen = [model.features(view.image).levels for view in (pair.fixed, pair.moving)]
    expected = model.velocity(seen[0], seen[1], 2.0)
    found = task.model(pair.fixed.image, pair.moving.image, 2.0)
    assert expected.abs().max() > 0.01 and torch.allclose(found, expected, atol=1e-5)
    swapped = task.model(pair.moving.image, pair.fixed.image, 2.0)
    assert not torch.allclose(swapped, expected, atol=1e-2)


def test_frozen_features_do_not_change_and_the_heads_do():
    task = make_task(freeze=True)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in task.model.parameters() if p.requires_grad], lr=1e-2)
    task.loss(0)["loss"].backward()
    optimizer.step()
    changed = {name for name, value in task.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("model.matching.") for name in changed)
    assert all(p.grad is None for p in task.model.model.net.parameters())


def test_features_that_are_not_frozen_have_a_gradient():
    task = make_task(freeze=False)
    task.loss(0)["loss"].backward()
    assert task.model.model.net.stem[0].weight.grad.abs().max() > 0


def test_all_losses_are_validated_on_the_same_validation_subjects(four_heads):
    scores = []
    for loss in ("dice", "velocity", "ncc"):
        task = make_task(loss, maps=four_heads)
        with torch.no_grad():
            scores.append(task.validate(task.model.eval()))
    assert scores[0] == scores[1] == scores[2]
    assert len(task.training.maps) == len(task.validation.maps) == 2


def test_validation_of_a_model_without_displacement_scores_as_before():
    task = make_task()
    with torch.no_grad():
        nothing = task.validate(lambda fixed, moving, weight: torch.zeros(1, 3, 12, 14, 10))
    assert nothing["score"] == pytest.approx(nothing["before"]) and 0.1 < nothing["before"] < 0.9


class Timed(RegistrationTask):
    """Each loss takes one second of the clock."""

    clock: list[float]

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        self.clock[0] += 1.0
        return super().loss(step)


def timed_task(clock: list[float], loss: str) -> Timed:
    task = Timed(RegistrationTaskConfig(loss, pairs=SMALL_PAIRS), None, small_synthmorph())
    task.clock = clock
    return task


@pytest.mark.parametrize("loss", ["dice", "displacement"])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(stopped_clock, tmp_path, loss):
    whole = LoopConfig(str(tmp_path / "whole"), steps=4, minutes=60, validate_every=2)
    train(timed_task(stopped_clock, loss), whole, lambda text: None)
    parts = replace(whole, folder=str(tmp_path / "parts"), minutes=2 / 60)
    for _ in range(2):
        train(timed_task(stopped_clock, loss), parts, lambda text: None)
    one, two = (torch.load(Path(c.folder) / "last.pt", weights_only=True) for c in (whole, parts))
    assert one["step"] == two["step"] == 4
    for kind in ("model", "averaged"):
        assert all(torch.equal(one[kind][name], two[kind][name]) for name in one[kind])
    assert (tmp_path / "whole" / "training.csv").read_text() == (tmp_path / "parts" / "training.csv").read_text()
    assert plot_training(Path(parts.folder)).stat().st_size > 1000


def test_invalid_configurations_are_refused():
    with pytest.raises(ValueError, match=r"Found loss 'images', expected one of dice, mse.*displacement"):
        RegistrationTaskConfig("images")
    with pytest.raises(ValueError, match="Found network 'mamba', expected one of matching, unet, transformer"):
        RegistrationTaskConfig(network="mamba")
    odd = RegistrationTaskConfig(pairs=replace(SMALL_PAIRS, shape=(24, 30, 20)))
    with pytest.raises(ValueError, match=r"Found pairs of \(24, 30, 20\) voxels, expected multiples of 4"):
        RegistrationTask(odd, None, small_synthmorph())


def test_warp_samples_the_image_at_the_displaced_positions():
    image = torch.arange(6.0).view(1, 1, 6, 1, 1).expand(1, 1, 6, 2, 2)
    u = torch.zeros(1, 3, 6, 2, 2)
    u[:, 0] = 2.0
    assert warp(image, u)[0, 0, :, 0, 0].tolist() == [2, 3, 4, 5, 5, 5]
