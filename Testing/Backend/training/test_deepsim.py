from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.networks.extractor import DEEPSIM_LEVELS, Extractor
from SlicerSynthReg.synthesis.ensembles import EnsembleConfig, draw_ensemble, make_ensemble
from SlicerSynthReg.synthesis.single_images import ShapeImages, UserImages, shape_class
from SlicerSynthReg.synthesis.templates import KINDS
from SlicerSynthReg.training.deepsim import DeepSimModel, DeepSimTask, DeepSimTaskConfig
from SlicerSynthReg.training.features_command import unet_config
from SlicerSynthReg.weights.registry import available, read_card

SMALL = {"widths": (4, 8, 8, 8), "batch_size": 1}


@pytest.fixture
def user_images(tmp_path) -> tuple[Path, Path]:
    """Two images with a bright block each and their segmentations, label 7."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder in (images, labels):
        folder.mkdir()
    for n in range(2):
        block = np.zeros((30, 30, 30), np.int16)
        block[8 + n : 20, 8:20, 8:20] = 7
        nibabel.save(nibabel.Nifti1Image((block * 30.0 + 5).astype(np.float32), np.eye(4)), images / f"{n}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(block, np.eye(4)), labels / f"{n}.nii.gz")
    return images, labels


def test_classes_are_kinds_of_shapes(seeded):
    record = draw_ensemble(EnsembleConfig(), seeded(4))
    labels = make_ensemble(record, (40, 40, 40))
    classes = shape_class(record)[labels.long()]
    for number, template in enumerate(record.templates):
        assert (classes[labels == number + 2] == 3 + list(KINDS).index(template.kind)).all()
    assert (classes[labels == 0] == 0).all() and (classes[labels == 1] == 1).all()
    assert record.sphere is None or (classes[labels == len(record.templates) + 2] == 2).all()
    assert int(classes.max()) < ShapeImages().classes


@pytest.mark.parametrize("surrogate", ["segmentation", "reconstruction"])
def test_a_few_steps_lower_the_loss(surrogate):
    torch.manual_seed(0)
    task = DeepSimTask(DeepSimTaskConfig(surrogate, **SMALL), ShapeImages(size=32))
    optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-3)
    losses = []
    for _ in range(10):
        loss = task.loss(1)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_an_auto_encoder_has_no_path_around_its_bottleneck():
    torch.manual_seed(0)
    for surrogate, through in (("reconstruction", True), ("segmentation", False)):
        net = DeepSimModel(DeepSimTaskConfig(surrogate, **SMALL), 3).net.eval()
        image = torch.rand(1, 1, 16, 16, 16)
        with torch.no_grad():
            net.down[-1][1][0].weight.zero_()  # the bottleneck's features no longer depend on the image
            net.down[-1][1][1].bias.zero_()
            same = torch.allclose(net(image), net(1 - image), atol=1e-5)
        assert same == through


def test_validation_is_one_for_the_true_classes_and_low_for_constant_ones():
    task = DeepSimTask(DeepSimTaskConfig(**SMALL), ShapeImages(size=24))
    samples = []

    def draw_sample(generator, held_out=False):
        samples.append(ShapeImages(size=24)(generator))
        return samples[-1]

    task.source = type("Recorded", (), {"classes": ShapeImages().classes, "__call__": staticmethod(draw_sample)})()
    true = task.validate(lambda image: torch.nn.functional.one_hot(samples[-1][1], 11).movedim(-1, 1).float())
    assert true["score"] == pytest.approx(1.0)
    constant = task.validate(lambda image: torch.nn.functional.one_hot(0 * samples[-1][1], 11).movedim(-1, 1).float())
    assert constant["score"] < 0.2


def test_every_image_source_is_an_option(synthreg_train, trainings, tmp_path, user_images, label_map_folder):
    images, labels = user_images
    for words, classes in (
        ((), 11),
        (("--labels", label_map_folder), None),
        (("--images", images, "--labels", labels, "--spacing", 1.0), 2),
        (("--images", images, "--surrogate", "reconstruction", "--spacing", 1.0), 1),
    ):
        code, output = synthreg_train("deepsim", "--out", tmp_path, *words)
        assert code == 0, output
        task = trainings[-1][0]
        assert isinstance(task, DeepSimTask) and classes in (None, task.source.classes)
        image, found = task.source(torch.Generator().manual_seed(0))
        assert image.shape[:2] == (1, 1) and float(image.min()) >= 0 and float(image.max()) <= 1
        assert found is None or int(found.max()) < task.source.classes


def test_segmentation_needs_a_segmentation_of_each_image(synthreg_train, tmp_path, user_images):
    images, labels = user_images
    code, output = synthreg_train("deepsim", "--out", tmp_path, "--images", images)
    assert code != 0 and "--surrogate reconstruction" in output
    (labels / "1.nii.gz").unlink()
    code, output = synthreg_train("deepsim", "--out", tmp_path, "--images", images, "--labels", labels)
    assert code != 0 and "1.nii.gz" in output


def test_user_images_are_warped_with_their_segmentation(seeded):
    image = torch.zeros(24, 24, 24)
    image[6:18, 6:18, 6:18] = 1.0
    source = UserImages((image,), ((image > 0).to(torch.uint8),), 2, size=24)
    seen, labels = source(seeded(0))
    assert labels is not None and (seen[0, 0][labels[0] == 1] > 0.4).all() and (seen[0, 0][labels[0] == 0] < 0.6).all()


def test_the_encoder_of_a_training_is_exported_as_an_extractor(
    synthreg_train, write_checkpoint, provenance_file, tmp_path, monkeypatch
):
    for surrogate in ("segmentation", "reconstruction"):
        torch.manual_seed(0)
        model = DeepSimModel(DeepSimTaskConfig(surrogate, **SMALL), 3)
        assert unet_config(model.net.state_dict()) == model.net.config
        folder, weights = write_checkpoint(f"run-{surrogate}", model), tmp_path / "weights"
        words = ("--training", folder, "--provenance", provenance_file, "--out", weights, "--features", "encoder")
        code, output = synthreg_train("export-features", surrogate, *words)
        assert code == 0, output
        card = read_card(surrogate, weights)
        assert tuple(card.architecture["encoder_levels"]) == DEEPSIM_LEVELS
        monkeypatch.setenv("SYNTHREG_WEIGHTS", str(weights))
        extractor = Extractor.load(card)
        assert [tuple(level.shape[1:]) for level in extractor.levels(torch.rand(1, 1, 16, 16, 16))] == [
            (8, 8, 8, 8), (8, 4, 4, 4), (8, 2, 2, 2),
        ]  # fmt: skip


def test_the_encoder_of_a_registration_model_is_an_extractor():
    if "synthmorph-brains" not in available():
        pytest.skip("the brains model is not installed")
    extractor = Extractor.load(read_card("synthmorph-brains"))
    seen = extractor(torch.rand(1, 1, 20, 24, 17))
    assert seen.shape == (32 + 64 + 96, 20, 24, 17)
