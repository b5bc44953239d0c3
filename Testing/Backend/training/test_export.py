from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.synthesis.tissues import BRAIN_STRUCTURES, STRUCTURES
from SlicerSynthReg.training.anatomy import AnatomyTask, AnatomyTaskConfig
from SlicerSynthReg.training.export import Provenance, export_model
from SlicerSynthReg.training.features import FeatureTask, FeatureTaskConfig
from SlicerSynthReg.training.registration import RegistrationTask, RegistrationTaskConfig
from SlicerSynthReg.training.registration_command import METHOD, assemble_synthmorph
from SlicerSynthReg.weights.registry import read_card

from .conftest import PROVENANCE


@pytest.fixture
def anatomy(four_heads) -> AnatomyTask:
    torch.manual_seed(1)
    return AnatomyTask(AnatomyTaskConfig(crop=32), four_heads, validation_cases=1)


@pytest.fixture
def image(seeded) -> torch.Tensor:
    return torch.rand(1, 1, 32, 32, 32, generator=seeded(0))


def trained_matching(pretrained: SynthMorph) -> RegistrationTask:
    """Return a registration training with changed matching heads."""
    task = RegistrationTask(RegistrationTaskConfig(), None, pretrained)
    with torch.no_grad():
        for head in task.model.model.matching.heads:
            head.out.bias.add_(0.25)
    return task


def velocity(model: SynthMorph, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        one, two = (model.features(i).levels for i in (image, image.flip(2)))
        return model.velocity(one, two, 1.0)


def test_the_exported_model_segments_as_the_training(anatomy, write_checkpoint, image):
    model = assemble_synthmorph(write_checkpoint("anatomy", anatomy.model))
    assert model.config.labels == tuple(STRUCTURES) and model.config.foreground == BRAIN_STRUCTURES
    with torch.no_grad():
        features = model.features(image)
        logits, _ = anatomy._logits(anatomy.model, image)
    expected = torch.softmax(logits, 1)[0]
    assert torch.allclose(features.structures, expected, atol=1e-5)
    assert torch.allclose(features.foreground, expected[2:].sum(0), atol=1e-5)
    assert expected.amax() - expected.amin() > 0.1


def test_an_exported_model_loads_unchanged(anatomy, write_checkpoint, image, tmp_path, monkeypatch):
    model = assemble_synthmorph(write_checkpoint("anatomy", anatomy.model))
    path = export_model("a-model", METHOD, model, Provenance(**PROVENANCE), tmp_path / "weights")
    card = read_card("a-model", tmp_path / "weights")
    assert path == tmp_path / "weights" / "a-model.safetensors" and path.stat().st_size < 6e6
    assert (card.training_data, card.spacing_mm, card.licence) == ("blocks", 2.0, "Apache-2.0")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))
    loaded = SynthMorph.load(card)
    with torch.no_grad():
        one, two = (m.features(image) for m in (model, loaded))
    assert float(F.cosine_similarity(one.finest, two.finest, dim=0).min()) > 0.999  # stored in half precision
    assert (one.structures - two.structures).abs().max() < 0.02
    assert not loaded.training


def test_features_of_random_shapes_are_exported_without_structures(write_checkpoint, image):
    torch.manual_seed(2)
    task = FeatureTask(FeatureTaskConfig())
    model = assemble_synthmorph(write_checkpoint("features", task.model))
    with torch.no_grad():
        features = model.features(image)
        expected = [F.normalize(level, dim=1) for level in task.model(image, (-1, 2))]  # -1: the output
    assert model.config.labels == () and features.structures is None and features.foreground is None
    assert torch.allclose(features.finest, expected[0][0], atol=1e-5)
    assert torch.allclose(features.levels[2], expected[1], atol=1e-5)


def test_matching_heads_are_exported_with_their_features(anatomy, write_checkpoint, image):
    features = write_checkpoint("anatomy", anatomy.model)
    initial = assemble_synthmorph(features)
    task = trained_matching(assemble_synthmorph(features))
    heads = write_checkpoint("heads", task.model)
    alone, both = assemble_synthmorph(registration=heads), assemble_synthmorph(features, heads)
    expected = velocity(task.model.model.eval(), image)
    assert all(torch.allclose(velocity(model, image), expected, atol=1e-3) for model in (alone, both))
    assert (velocity(initial, image) - expected).abs().max() > 0.1
    assert alone.config.labels == tuple(STRUCTURES)


def test_matching_heads_are_not_exported_with_other_features(anatomy, write_checkpoint):
    heads = write_checkpoint(
        "heads", trained_matching(assemble_synthmorph(write_checkpoint("anatomy", anatomy.model))).model
    )
    with torch.no_grad():
        anatomy.model.net.head.bias.add_(0.1)
    later = write_checkpoint("later", anatomy.model)
    with pytest.raises(WeightsError) as refused:
        assemble_synthmorph(later, heads)
    assert refused.value.code == "features-differ"


def test_invalid_trainings_are_not_exported(write_checkpoint, tmp_path):
    unet = RegistrationTask(RegistrationTaskConfig(network="unet"), None)
    (tmp_path / "unvalidated").mkdir()
    other = torch.nn.ModuleDict({"net": torch.nn.Linear(2, 2)})
    for trainings, code in (
        ({"registration": write_checkpoint("unet", unet.model)}, "not-matching"),
        ({"features": tmp_path / "unvalidated"}, "checkpoint-missing"),
        ({"features": write_checkpoint("other", other)}, "weights-mismatch"),
        ({}, "training-missing"),
    ):
        with pytest.raises(WeightsError) as refused:
            assemble_synthmorph(**trainings)
        assert refused.value.code == code


def test_the_cards_entries_are_read_from_a_file(tmp_path):
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps({**PROVENANCE, "scores": {"dice": 0.6}}))
    read = Provenance.read(path)
    assert read.limits == "all" and read.scores == {"dice": 0.6} and read.licence == "Apache-2.0"
    path.write_text(json.dumps({**PROVENANCE, "author": "someone"}))
    with pytest.raises(WeightsError) as refused:
        Provenance.read(path)
    assert refused.value.code == "provenance-invalid"
