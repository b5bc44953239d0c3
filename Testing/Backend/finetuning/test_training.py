"""Training step, validation and plan of fine-tuning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.api import finetuning as api
from SlicerSynthReg.finetuning.augmentation import AugmentationConfig, draw_augmentation
from SlicerSynthReg.finetuning.preparation import AnnotatedVolume, isotropic_spacing
from SlicerSynthReg.finetuning.segmenter import FineTunedSegmenter, SegmenterConfig
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.training import finetuning
from SlicerSynthReg.training.finetuning import (
    MAX_VALIDATIONS,
    FineTuneConfig,
    FineTuneTask,
    Plan,
    marginal_logits,
    plan_training,
)
from SlicerSynthReg.weights.registry import read_card


def test_unannotated_classes_are_merged_into_the_background():
    logits = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    p, q = logits.softmax(0), marginal_logits(logits, frozenset({1, 3})).softmax(0)
    assert torch.allclose(q[0], p[0] + p[1] + p[3], atol=1e-6) and torch.allclose(q[2], p[2], atol=1e-6)
    assert float(q[[1, 3]].max()) < 1e-12 and marginal_logits(logits, frozenset()) is logits


def test_unannotated_classes_get_no_gradient_against_the_background():
    """A background voxel does not lower the logit of a class that is unannotated there."""
    logits = torch.tensor([0.3, 1.2, -0.4]).view(3, 1, 1, 1).requires_grad_()
    for unannotated, lowered in ((frozenset({1}), False), (frozenset(), True)):
        loss = -marginal_logits(logits, unannotated).log_softmax(0)[0].sum()
        (slope,) = torch.autograd.grad(loss, logits)
        assert bool(slope[1] > 0) is lowered, "descent lowers class 1 only if it is annotated"


def test_validation_ignores_unannotated_classes():
    class All(FineTunedSegmenter):
        def probabilities(self, image: torch.Tensor, max_voxels: int = 0, margin: int = 0) -> torch.Tensor:
            found = torch.full((3, 4, 4, 4), 0.1)
            found[1, :2], found[2, 2:] = 0.8, 0.8
            return found

    labels = torch.zeros(4, 4, 4, dtype=torch.uint8)
    labels[:2] = 1
    model = All(SegmenterConfig(UNetConfig(1, 4, (4, 4)), (5, 9)))
    scores = {}
    for unannotated in (frozenset({2}), frozenset()):
        one = AnnotatedVolume(torch.zeros(4, 4, 4), labels, frozenset(unannotated))
        scores[len(unannotated)] = FineTuneTask(model, [one], [one], FineTuneConfig()).validate(model)["score"]
    assert scores[1] == 1.0 and scores[0] == 0.5


def test_small_labels_are_sampled_as_often_as_large_ones():
    labels = torch.zeros(40, 40, 40, dtype=torch.uint8)
    labels[:, :, :20], labels[30:32, 30:32, 30:32] = 1, 2
    config = AugmentationConfig(crop_size=8, label_probability=1.0)
    generator = torch.Generator().manual_seed(0)
    sampled = [int(labels[draw_augmentation(config, labels, generator).centre]) for _ in range(60)]
    assert 15 < sampled.count(2) < 45 and 0 not in sampled


@pytest.mark.parametrize(
    ("voxel_mm", "edge"), [((1, 1, 1), 1.0), ((0.5, 0.5, 0.6), 1.0), ((1, 1, 6), 1.0), ((3.9, 3.9, 2.5), 3.36)]
)
def test_the_isotropic_spacing_preserves_volume_or_the_plane_of_thick_slices(voxel_mm, edge):
    assert isotropic_spacing(np.array(voxel_mm)) == pytest.approx(edge, abs=0.01)


class Clock:
    """A task on a simulated clock: seconds per step in float32 (1) and bfloat16, and per validation."""

    device = "cpu"
    bfloat16 = False

    def __init__(self, check: float, faster: float) -> None:
        self.model, self.check, self.faster, self.now = torch.nn.Linear(1, 1), check, faster, 0.0

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        self.now += self.faster if self.bfloat16 else 1.0
        return {"loss": self.model(torch.ones(1)).sum()}

    def validate(self, model: torch.nn.Module) -> dict[str, float]:
        self.now += self.check
        return {"score": 0.0}

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("check", "faster"), [(0.5, 0.5), (20.0, 0.5), (1000.0, 0.5), (20.0, 3.0)])
def test_validations_take_a_small_share_of_the_time(tmp_path, monkeypatch, check, faster):
    clock = Clock(check, faster)
    monkeypatch.setattr(finetuning, "time", clock)
    monkeypatch.setattr(finetuning, "_supports_bfloat16", lambda device: True)
    plan = plan_training(tmp_path / "plan", "key", clock, 10.0)
    step = min(1.0, faster)
    assert plan.bfloat16 is (faster < 1) and 1 <= plan.validations <= MAX_VALIDATIONS
    assert plan.validations == 1 or plan.validations * check <= 0.15 * 540
    assert plan.steps == 2 or plan.steps * step + plan.validations * check == pytest.approx(540, abs=1.01)
    assert plan_training(tmp_path / "plan", "key", clock, 10.0) == plan
    assert plan_training(tmp_path / "plan", "another key", clock, 5.0).steps != plan.steps or check == 1000.0


def a_ct(seed: int) -> tuple[Image, Image]:
    """A dim organ (label 1) a hundredth of the range brighter than what is about it, and a tooth of metal."""
    generator = torch.Generator().manual_seed(seed)
    image, labels = torch.full((1, 32, 32, 32), -1000.0), torch.zeros(1, 32, 32, 32, dtype=torch.int32)
    image[:, 3:29, 3:29] = 30 + 4 * torch.randn(26, 26, 32, generator=generator)
    at = int(torch.randint(6, 16, (), generator=generator))
    image[:, at : at + 9, 8:17, 8:17] += 40
    labels[:, at : at + 9, 8:17, 8:17] = 1
    image[:, 24:28, 24:28, 2:30] = 3000.0
    grid = Grid((32, 32, 32), np.eye(4))
    return Image(image, grid), Image(labels, grid, "labels")


def test_the_intensity_mapping_is_the_same_in_training_and_application(tmp_path, my_models, monkeypatch):
    folder = tmp_path / "tomographies"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for n in range(3):
        for name, volume in zip(("images", "labels"), a_ct(n)):
            write_image(volume, folder / name / f"t{n}.nii.gz")
    images: list[torch.Tensor] = []
    real = FineTunedSegmenter.probabilities

    def recording(self, image: torch.Tensor, *more: int) -> torch.Tensor:
        images.append(image)
        return real(self, image, *more)

    monkeypatch.setattr(FineTunedSegmenter, "probabilities", recording)
    monkeypatch.setattr(api, "plan_training", lambda folder, key, task, minutes: Plan(2, 1, False, key))
    how = {"model_name": "organ", "pretrained_model": "none", "crop_size": 16}
    run(Request("finetune", {"examples": str(folder)}, str(tmp_path / "out"), how))
    assert len(read_card("organ").architecture["knots"]) > 32
    image, labels = a_ct(2)
    write_image(image, tmp_path / "new.nii.gz")
    run(Request("segment", {"image": str(tmp_path / "new.nii.gz")}, str(tmp_path / "segmented"), {"model": "organ"}))
    assert torch.equal(images[0], images[-1]), "validation and application map intensities alike"
    organ = labels.data[0] == 1
    body = (image.data[0] > 0) & (image.data[0] < 120) & ~organ
    assert float(images[-1][organ].mean() - images[-1][body].mean()) > 0.2
