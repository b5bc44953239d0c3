"""What a step of fine-tuning learns from, and how the minutes are planned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.finetune.augment import AugmentConfig, draw_augment
from SlicerSynthReg.methods.finetune.model import FineTuned, FineTunedConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.request import Request
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks import finetune, finetune_plan
from SlicerSynthReg.tasks.finetune import usual_spacing
from SlicerSynthReg.tasks.finetune_plan import CHECKS, Plan, plan_training
from SlicerSynthReg.train.finetune import Annotated, FineTuneConfig, FineTuneTask, merged
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import read_card


def test_what_was_not_drawn_may_be_part_of_the_background():
    logits = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    p, q = logits.softmax(0), merged(logits, frozenset({1, 3})).softmax(0)
    assert torch.allclose(q[0], p[0] + p[1] + p[3], atol=1e-6) and torch.allclose(q[2], p[2], atol=1e-6)
    assert float(q[[1, 3]].max()) < 1e-12 and merged(logits, frozenset()) is logits


def test_an_example_does_not_teach_that_what_nobody_drew_is_absent():
    """The gradient of a voxel of background leaves the odds of what was not drawn there as they are."""
    logits = torch.tensor([0.3, 1.2, -0.4]).view(3, 1, 1, 1).requires_grad_()
    for untold, denied in ((frozenset({1}), False), (frozenset(), True)):
        loss = -merged(logits, untold).log_softmax(0)[0].sum()
        (slope,) = torch.autograd.grad(loss, logits)
        assert bool(slope[1] > 0) is denied, "downhill is less of class 1 only where it was drawn elsewhere"


def test_a_volume_left_out_is_not_scored_by_what_nobody_drew_in_it():
    class All(FineTuned):
        def probabilities(self, image: torch.Tensor, most_voxels: int = 0, margin: int = 0) -> torch.Tensor:
            found = torch.full((3, 4, 4, 4), 0.1)
            found[1, :2], found[2, 2:] = 0.8, 0.8
            return found

    labels = torch.zeros(4, 4, 4, dtype=torch.uint8)
    labels[:2] = 1
    model = All(FineTunedConfig(UNetConfig(1, 4, (4, 4)), (5, 9)))
    scores = {}
    for untold in (frozenset({2}), frozenset()):
        one = Annotated(torch.zeros(4, 4, 4), labels, frozenset(untold))
        scores[len(untold)] = FineTuneTask(model, [one], [one], FineTuneConfig()).validate(model)["score"]
    assert scores[1] == 1.0 and scores[0] == 0.5


def test_small_structures_are_looked_at_as_often_as_large_ones():
    labels = torch.zeros(40, 40, 40, dtype=torch.uint8)
    labels[:, :, :20], labels[30:32, 30:32, 30:32] = 1, 2
    config = AugmentConfig(side=8, on_label=1.0)
    generator = torch.Generator().manual_seed(0)
    seen = [int(labels[draw_augment(config, labels, generator).centre]) for _ in range(60)]
    assert 15 < seen.count(2) < 45 and 0 not in seen


@pytest.mark.parametrize(
    ("voxel_mm", "edge"), [((1, 1, 1), 1.0), ((0.5, 0.5, 0.6), 1.0), ((1, 1, 6), 1.0), ((3.9, 3.9, 2.5), 3.36)]
)
def test_voxels_are_as_coarse_as_the_examples_and_thick_slices_keep_their_plane(voxel_mm, edge):
    assert usual_spacing(np.array(voxel_mm)) == pytest.approx(edge, abs=0.01)


class Clock:
    """Stands for a task: a step takes 1 s, or half of it in bfloat16; a check as long as it is told."""

    device = "cpu"
    half = False

    def __init__(self, check: float, faster: float) -> None:
        self.model, self.check, self.faster, self.now = torch.nn.Linear(1, 1), check, faster, 0.0

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        self.now += self.faster if self.half else 1.0
        return {"loss": self.model(torch.ones(1)).sum()}

    def validate(self, model: torch.nn.Module) -> dict[str, float]:
        self.now += self.check
        return {"score": 0.0}

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("check", "faster"), [(0.5, 0.5), (20.0, 0.5), (1000.0, 0.5), (20.0, 3.0)])
def test_checks_take_a_small_share_of_the_time(tmp_path, monkeypatch, check, faster):
    clock = Clock(check, faster)
    monkeypatch.setattr(finetune_plan, "time", clock)
    monkeypatch.setattr(finetune_plan, "_has_half", lambda device: True)
    plan = plan_training(tmp_path / "plan", "key", clock, 10.0)
    step = min(1.0, faster)
    assert plan.half is (faster < 1) and 1 <= plan.checks <= CHECKS
    assert plan.checks == 1 or plan.checks * check <= 0.15 * 540
    assert plan.steps == 2 or plan.steps * step + plan.checks * check == pytest.approx(540, abs=1.01)
    assert plan_training(tmp_path / "plan", "key", clock, 10.0) == plan
    assert plan_training(tmp_path / "plan", "another key", clock, 5.0).steps != plan.steps or check == 1000.0


def a_tomography(seed: int) -> tuple[Volume, Volume]:
    """A dim organ (label 1) a hundredth of the range brighter than what is about it, and a tooth of metal."""
    generator = torch.Generator().manual_seed(seed)
    image, labels = torch.full((1, 32, 32, 32), -1000.0), torch.zeros(1, 32, 32, 32, dtype=torch.int32)
    image[:, 3:29, 3:29] = 30 + 4 * torch.randn(26, 26, 32, generator=generator)
    at = int(torch.randint(6, 16, (), generator=generator))
    image[:, at : at + 9, 8:17, 8:17] += 40
    labels[:, at : at + 9, 8:17, 8:17] = 1
    image[:, 24:28, 24:28, 2:30] = 3000.0
    grid = Grid((32, 32, 32), np.eye(4))
    return Volume(image, grid), Volume(labels, grid, "labels")


def test_an_organ_that_metal_would_hide_is_seen_in_training_and_later(tmp_path, my_models, monkeypatch):
    folder = tmp_path / "tomographies"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for n in range(3):
        for name, volume in zip(("images", "labels"), a_tomography(n)):
            write_volume(volume, folder / name / f"t{n}.nii.gz")
    seen: list[torch.Tensor] = []
    real = FineTuned.probabilities

    def watched(self, image: torch.Tensor, *more: int) -> torch.Tensor:
        seen.append(image)
        return real(self, image, *more)

    monkeypatch.setattr(FineTuned, "probabilities", watched)
    monkeypatch.setattr(finetune, "plan_training", lambda folder, key, task, minutes: Plan(2, 1, False, key))
    how = {"model_name": "organ", "start": "none", "crop": 16}
    run(Request("finetune", {"examples": str(folder)}, str(tmp_path / "out"), how))
    assert len(read_card("organ").architecture["knots"]) > 32
    image, labels = a_tomography(2)
    write_volume(image, tmp_path / "new.nii.gz")
    run(Request("segment", {"image": str(tmp_path / "new.nii.gz")}, str(tmp_path / "segmented"), {"model": "organ"}))
    assert torch.equal(seen[0], seen[-1]), "the volume left out is seen as it is when the model is applied"
    organ = labels.data[0] == 1
    body = (image.data[0] > 0) & (image.data[0] < 120) & ~organ
    assert float(seen[-1][organ].mean() - seen[-1][body].mean()) > 0.2
