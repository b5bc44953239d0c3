from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.nets.extractor import SEMANTIC_LEVELS, Extractor
from SlicerSynthReg.synth.ensembles import EnsembleConfig, draw_ensemble, make_ensemble
from SlicerSynthReg.synth.pictures import KindPictures, OwnPictures, kind_of_label
from SlicerSynthReg.synth.templates import KINDS
from SlicerSynthReg.train.any_features import unet_of
from SlicerSynthReg.train.loop import LoopConfig, Task
from SlicerSynthReg.train.semantic import SemanticModel, SemanticTask, SemanticTaskConfig
from SlicerSynthReg.weights.registry import available, read_card

from .test_any_features import a_provenance  # noqa: F401
from .test_command import a_folder_of_maps, asked, trained  # noqa: F401

SMALL = {"widths": (4, 8, 8, 8), "batch": 1}


@pytest.fixture
def own_images(tmp_path) -> tuple[Path, Path]:
    """Two images of a bright block each and their segmentations, numbered 7."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder in (images, labels):
        folder.mkdir()
    for n in range(2):
        block = np.zeros((30, 30, 30), np.int16)
        block[8 + n : 20, 8:20, 8:20] = 7
        nibabel.save(nibabel.Nifti1Image((block * 30.0 + 5).astype(np.float32), np.eye(4)), images / f"{n}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(block, np.eye(4)), labels / f"{n}.nii.gz")
    return images, labels


def test_a_class_is_a_kind_of_shape(seeded):
    record = draw_ensemble(EnsembleConfig(), seeded(4))
    labels = make_ensemble(record, (40, 40, 40))
    classes = kind_of_label(record)[labels.long()]
    for number, template in enumerate(record.templates):
        assert (classes[labels == number + 2] == 3 + list(KINDS).index(template.kind)).all()
    assert (classes[labels == 0] == 0).all() and (classes[labels == 1] == 1).all()
    assert record.sphere is None or (classes[labels == len(record.templates) + 2] == 2).all()
    assert int(classes.max()) < KindPictures().classes


@pytest.mark.parametrize("surrogate", ["segmentation", "reconstruction"])
def test_a_few_steps_lower_the_loss(surrogate):
    torch.manual_seed(0)
    task = SemanticTask(SemanticTaskConfig(surrogate, **SMALL), KindPictures(side=32))
    optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-3)
    losses = []
    for _ in range(10):
        loss = task.loss(1)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_an_auto_encoder_passes_everything_through_its_bottleneck():
    torch.manual_seed(0)
    for surrogate, through in (("reconstruction", True), ("segmentation", False)):
        net = SemanticModel(SemanticTaskConfig(surrogate, **SMALL), 3).net.eval()
        image = torch.rand(1, 1, 16, 16, 16)
        with torch.no_grad():
            net.down[-1][1][0].weight.zero_()  # the last encoder level now says the same of every image
            net.down[-1][1][1].bias.zero_()
            same = torch.allclose(net(image), net(1 - image), atol=1e-5)
        assert same == through


def test_validation_is_right_for_one_who_knows_and_one_who_does_not():
    task = SemanticTask(SemanticTaskConfig(**SMALL), KindPictures(side=24))
    seen = []

    def pictures(generator, unseen=False):
        seen.append(KindPictures(side=24)(generator))
        return seen[-1]

    task.pictures = type("Told", (), {"classes": KindPictures().classes, "__call__": staticmethod(pictures)})()
    knowing = task.validate(lambda image: torch.nn.functional.one_hot(seen[-1][1], 11).movedim(-1, 1).float())
    assert knowing["score"] == pytest.approx(1.0)
    blind = task.validate(lambda image: torch.nn.functional.one_hot(0 * seen[-1][1], 11).movedim(-1, 1).float())
    assert blind["score"] < 0.2


def test_every_source_is_one_command(trained: list[tuple[Task, LoopConfig]], tmp_path, own_images, a_folder_of_maps):  # noqa: F811
    images, labels = own_images
    for words, classes in (
        ((), 11),
        (("--labels", a_folder_of_maps), None),
        (("--images", images, "--labels", labels, "--spacing", 1.0), 2),
        (("--images", images, "--surrogate", "reconstruction", "--spacing", 1.0), 1),
    ):
        code, said = asked("deepsim", "--out", tmp_path, *words)
        assert code == 0, said
        task = trained[-1][0]
        assert isinstance(task, SemanticTask) and classes in (None, task.pictures.classes)
        image, found = task.pictures(torch.Generator().manual_seed(0))
        assert image.shape[:2] == (1, 1) and float(image.min()) >= 0 and float(image.max()) <= 1
        assert found is None or int(found.max()) < task.pictures.classes


def test_images_without_segmentations_cannot_be_segmented(tmp_path, own_images):
    images, labels = own_images
    code, said = asked("deepsim", "--out", tmp_path, "--images", images)
    assert code != 0 and "--surrogate reconstruction" in said
    (labels / "1.nii.gz").unlink()
    code, said = asked("deepsim", "--out", tmp_path, "--images", images, "--labels", labels)
    assert code != 0 and "1.nii.gz" in said


def test_own_images_keep_their_segmentation_under_the_warp(seeded):
    image = torch.zeros(24, 24, 24)
    image[6:18, 6:18, 6:18] = 1.0
    source = OwnPictures((image,), ((image > 0).to(torch.uint8),), 2, side=24)
    seen, labels = source(seeded(0))
    assert labels is not None and (seen[0, 0][labels[0] == 1] > 0.4).all() and (seen[0, 0][labels[0] == 0] < 0.6).all()


def test_a_training_ships_as_an_extractor_of_its_encoder(tmp_path, a_provenance):  # noqa: F811
    for surrogate in ("segmentation", "reconstruction"):
        torch.manual_seed(0)
        model = SemanticModel(SemanticTaskConfig(surrogate, **SMALL), 3)
        assert unet_of(model.net.state_dict()) == model.net.config
        torch.save({"model": model.state_dict(), "step": 1, "scores": {}}, tmp_path / "best.pt")
        words = ("--training", tmp_path, "--provenance", a_provenance, "--to", tmp_path / "w", "--reads", "encoder")
        code, said = asked("ship-features", surrogate, *words)
        assert code == 0, said
        card = read_card(surrogate, tmp_path / "w")
        assert tuple(card.architecture["encoder"]) == SEMANTIC_LEVELS
        monkey = pytest.MonkeyPatch()
        monkey.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "w"))
        extractor = Extractor.load(card)
        monkey.undo()
        assert [tuple(level.shape[1:]) for level in extractor.levels(torch.rand(1, 1, 16, 16, 16))] == [
            (8, 8, 8, 8), (8, 4, 4, 4), (8, 2, 2, 2),
        ]  # fmt: skip


def test_the_encoder_of_a_registrations_network_compares_too():
    if "synthmorph-brains" not in available():
        pytest.skip("the brains model is not installed")
    extractor = Extractor.load(read_card("synthmorph-brains"))
    seen = extractor(torch.rand(1, 1, 20, 24, 17))
    assert seen.shape == (32 + 64 + 96, 20, 24, 17)
