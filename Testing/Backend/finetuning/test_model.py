from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.finetuning.augmentation import (
    AugmentationConfig,
    AugmentationDraw,
    apply_augmentation,
    draw_augmentation,
)
from SlicerSynthReg.finetuning.segmenter import FineTunedSegmenter, SegmenterConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig
from SlicerSynthReg.synthesis.deformation import DeformationConfig
from SlicerSynthReg.weights.registry import FOLDER, read_card

IDENTITY = AugmentationConfig(
    crop_size=15,
    label_probability=1.0,
    deform=DeformationConfig((), 0.0),
    artefacts=ArtefactConfig(thick_slices=0, crop=0),
    gamma_sd=0,
    gain=0,
    bias_sd=0,
    blur_sd=0,
    noise_sd=0,
    rare_probability=0,
)


def test_the_identity_crops_around_a_labelled_voxel():
    image = torch.rand(21, 25, 23)
    labels = torch.zeros(21, 25, 23, dtype=torch.uint8)
    labels[10, 13, 8] = 3
    record = draw_augmentation(IDENTITY, labels, torch.Generator().manual_seed(0))
    crop, classes = apply_augmentation(image, labels, record)
    assert record.centre == (10, 13, 8) and (classes == 3).nonzero().tolist() == [[0, 7, 7, 7]]
    assert torch.allclose(crop[0, 0], image[3:18, 6:21, 1:16], atol=1e-4)


def test_image_and_labels_share_the_warp():
    labels = torch.zeros(40, 40, 40, dtype=torch.uint8)
    labels[10:30, 12:28, 14:30] = 1
    config = dataclasses.replace(IDENTITY, crop_size=32, deform=AugmentationConfig().deform)
    for seed in range(4):
        record = draw_augmentation(config, labels, torch.Generator().manual_seed(seed))
        record = AugmentationDraw(
            **{**record.__dict__, "artefacts": draw_augmentation(IDENTITY, labels, torch.Generator()).artefacts}
        )
        crop, classes = apply_augmentation(labels.float(), labels, record)
        assert float(((crop[:, 0] > 0.5) != (classes == 1)).float().mean()) < 0.01
        assert float(classes.float().mean()) > 0.05


def test_ringing_removes_and_sharpening_amplifies_high_frequencies():
    i = torch.arange(33.0)
    fine, coarse = (0.5 + 0.2 * torch.cos(2 * torch.pi * cycles * i / 31).view(-1, 1, 1) for cycles in (13, 2))
    labels = torch.zeros(33, 33, 33, dtype=torch.uint8)
    labels[16, 16, 16] = 1
    record = draw_augmentation(dataclasses.replace(IDENTITY, crop_size=31), labels, torch.Generator().manual_seed(0))

    def amplitude(image, **changes):
        crop = apply_augmentation(image.expand(33, 33, 33), labels, dataclasses.replace(record, **changes))[0][
            0, 0, 2:-2
        ]
        return float(crop.amax() - crop.amin())

    assert amplitude(fine, ringing=0.6) < 0.1 * amplitude(fine) and amplitude(coarse, ringing=0.6) > 0.7 * amplitude(
        coarse
    )
    assert amplitude(fine, sharpen=1.0) > 1.3 * amplitude(fine) and amplitude(coarse, sharpen=1.0) < 1.2 * amplitude(
        coarse
    )


def test_a_crop_is_rebuilt_from_its_json():
    labels = torch.randint(0, 3, (24, 24, 24)).to(torch.uint8)
    image = torch.rand(24, 24, 24)
    record = draw_augmentation(AugmentationConfig(crop_size=16), labels, torch.Generator().manual_seed(3))
    again = draw.from_json(AugmentationDraw, json.loads(json.dumps(draw.to_json(record))))
    assert again == record
    assert all(
        torch.equal(a, b)
        for a, b in zip(apply_augmentation(image, labels, record), apply_augmentation(image, labels, again))
    )


def test_a_large_image_in_parts_equals_the_whole():
    torch.manual_seed(0)
    model = FineTunedSegmenter(SegmenterConfig(UNetConfig(1, 4, (4,), norm="none"), (3, 8))).eval()
    image = torch.rand(40, 13, 11)
    with torch.no_grad():
        whole = model.probabilities(image)
        parts = model.probabilities(image, max_voxels=2000, margin=4)
    assert whole.shape == (3, 40, 13, 11) and torch.allclose(whole, parts, atol=1e-5)


def test_features_of_a_registration_model_initialise_the_network():
    card = read_card("synthmorph-brains")
    model = FineTunedSegmenter.from_features(card, (17, 53))
    assert model.config.net.outputs == 16 and model.classes.weight.shape[:2] == (3, 16)
    stored = load_file(FOLDER / card.file)
    assert torch.equal(model.net.stem[0].weight, stored["net.stem.0.weight"].float())


def test_features_of_a_feature_network_initialise_the_network():
    model = FineTunedSegmenter.from_features(read_card("features-any"), (1,))
    stored = load_file(FOLDER / "features-any.safetensors")
    assert torch.equal(model.net.head.weight, stored["net.head.weight"].float())


def test_a_card_without_features_is_refused():
    card = dataclasses.replace(read_card("synthmorph-brains"), architecture={})
    with pytest.raises(WeightsError) as raised:
        FineTunedSegmenter.from_features(card, (1,))
    assert raised.value.code == "no-features"
