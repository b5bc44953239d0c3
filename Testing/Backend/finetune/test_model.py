from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from SlicerSynthReg.methods.finetune.augment import AugmentConfig, AugmentDraw, augmented, draw_augment
from SlicerSynthReg.methods.finetune.model import FineTuned, FineTunedConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.deform import DeformConfig
from SlicerSynthReg.weights.registry import FOLDER, WeightsError, read_card

STILL = AugmentConfig(
    side=15,
    on_label=1.0,
    deform=DeformConfig((), 0.0),
    artefacts=ArtefactConfig(thick_slices=0, crop=0),
    gamma_sd=0,
    gain=0,
    bias_sd=0,
    blur_sd=0,
    noise_sd=0,
    now_and_then=0,
)


def test_a_crop_without_changes_is_the_volume_about_a_labelled_voxel():
    image = torch.rand(21, 25, 23)
    labels = torch.zeros(21, 25, 23, dtype=torch.uint8)
    labels[10, 13, 8] = 3
    record = draw_augment(STILL, labels, torch.Generator().manual_seed(0))
    seen, classes = augmented(image, labels, record)
    assert record.centre == (10, 13, 8) and (classes == 3).nonzero().tolist() == [[0, 7, 7, 7]]
    assert torch.allclose(seen[0, 0], image[3:18, 6:21, 1:16], atol=1e-4)


def test_image_and_labels_are_warped_alike():
    labels = torch.zeros(40, 40, 40, dtype=torch.uint8)
    labels[10:30, 12:28, 14:30] = 1
    config = dataclasses.replace(STILL, side=32, deform=AugmentConfig().deform)
    for seed in range(4):
        record = draw_augment(config, labels, torch.Generator().manual_seed(seed))
        record = AugmentDraw(
            **{**record.__dict__, "artefacts": draw_augment(STILL, labels, torch.Generator()).artefacts}
        )
        seen, classes = augmented(labels.float(), labels, record)
        assert float(((seen[:, 0] > 0.5) != (classes == 1)).float().mean()) < 0.01
        assert float(classes.float().mean()) > 0.05


def test_ringing_takes_fine_waves_and_sharpening_lifts_them():
    i = torch.arange(33.0)
    fine, coarse = (0.5 + 0.2 * torch.cos(2 * torch.pi * cycles * i / 31).view(-1, 1, 1) for cycles in (13, 2))
    labels = torch.zeros(33, 33, 33, dtype=torch.uint8)
    labels[16, 16, 16] = 1
    record = draw_augment(dataclasses.replace(STILL, side=31), labels, torch.Generator().manual_seed(0))

    def swing(image, **changes):
        seen = augmented(image.expand(33, 33, 33), labels, dataclasses.replace(record, **changes))[0][0, 0, 2:-2]
        return float(seen.amax() - seen.amin())

    assert swing(fine, ringing=0.6) < 0.1 * swing(fine) and swing(coarse, ringing=0.6) > 0.7 * swing(coarse)
    assert swing(fine, sharpen=1.0) > 1.3 * swing(fine) and swing(coarse, sharpen=1.0) < 1.2 * swing(coarse)


def test_a_view_is_rebuilt_from_its_json():
    labels = torch.randint(0, 3, (24, 24, 24)).to(torch.uint8)
    image = torch.rand(24, 24, 24)
    record = draw_augment(AugmentConfig(side=16), labels, torch.Generator().manual_seed(3))
    again = draw.from_json(AugmentDraw, json.loads(json.dumps(draw.to_json(record))))
    assert again == record
    assert all(torch.equal(a, b) for a, b in zip(augmented(image, labels, record), augmented(image, labels, again)))


def test_a_large_image_is_segmented_in_parts_as_a_whole():
    torch.manual_seed(0)
    model = FineTuned(FineTunedConfig(UNetConfig(1, 4, (4,), norm="none"), (3, 8))).eval()
    image = torch.rand(40, 13, 11)
    with torch.no_grad():
        whole = model.probabilities(image)
        parts = model.probabilities(image, most_voxels=2000, margin=4)
    assert whole.shape == (3, 40, 13, 11) and torch.allclose(whole, parts, atol=1e-5)


def test_training_starts_from_the_features_of_a_card():
    card = read_card("synthmorph-brains")
    model = FineTuned.from_features(card, (17, 53))
    assert model.config.net.outputs == 16 and model.classes.weight.shape[:2] == (3, 16)
    stored = load_file(FOLDER / card.file)
    assert torch.equal(model.net.stem[0].weight, stored["net.stem.0.weight"].float())


def test_features_of_any_anatomy_are_a_start_too():
    model = FineTuned.from_features(read_card("features-any"), (1,))
    stored = load_file(FOLDER / "features-any.safetensors")
    assert torch.equal(model.net.head.weight, stored["net.head.weight"].float())


def test_a_card_without_features_is_refused():
    card = dataclasses.replace(read_card("synthmorph-brains"), architecture={})
    with pytest.raises(WeightsError, match="which has no features to start from"):
        FineTuned.from_features(card, (1,))
