from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.synth.tissues import ANATOMY, BRAIN
from SlicerSynthReg.train.anatomy import AnatomyTask, AnatomyTaskConfig
from SlicerSynthReg.train.features import FeatureTask, FeatureTaskConfig
from SlicerSynthReg.train.registration import RegistrationTask, RegistrationTaskConfig
from SlicerSynthReg.train.ship import Provenance, assembled, ship
from SlicerSynthReg.weights.registry import read_card

SAID = {
    "training_data": "blocks",
    "intended_use": "tests",
    "limits": "all",
    "spacing_mm": 2.0,
    "modalities": "any",
    "trained_with": "a test",
}


@pytest.fixture
def checkpoint(tmp_path):
    """Weights as the loop writes its best."""

    def write(name: str, model: torch.nn.Module) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        torch.save({"model": model.state_dict(), "step": 1, "scores": {"score": 0.5}}, folder / "best.pt")
        return folder

    return write


@pytest.fixture
def anatomy(four_heads) -> AnatomyTask:
    torch.manual_seed(1)
    return AnatomyTask(AnatomyTaskConfig(crop=32), four_heads, held_out=1)


@pytest.fixture
def an_image(seeded) -> torch.Tensor:
    return torch.rand(1, 1, 32, 32, 32, generator=seeded(0))


def registered(start: SynthMorph) -> RegistrationTask:
    """A registration training whose heads have learned something."""
    task = RegistrationTask(RegistrationTaskConfig(), None, start)
    with torch.no_grad():
        for head in task.model.model.matching.heads:
            head.out.bias.add_(0.25)
    return task


def velocity(model: SynthMorph, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        one, two = (model.features(i).levels for i in (image, image.flip(2)))
        return model.velocity(one, two, 1.0)


def test_what_ships_sees_the_structures_that_were_trained(anatomy, checkpoint, an_image):
    model = assembled(checkpoint("anatomy", anatomy.model))
    assert model.config.labels == tuple(ANATOMY) and model.config.foreground == BRAIN
    with torch.no_grad():
        seen = model.features(an_image)
        logits, _ = anatomy._logits(anatomy.model, an_image)
    trained = torch.softmax(logits, 1)[0]
    assert torch.allclose(seen.structures, trained, atol=1e-5)
    assert torch.allclose(seen.foreground, trained[2:].sum(0), atol=1e-5)
    assert trained.amax() - trained.amin() > 0.1


def test_a_shipped_model_loads_as_it_was(anatomy, checkpoint, an_image, tmp_path, monkeypatch):
    model = assembled(checkpoint("anatomy", anatomy.model))
    path = ship("a-model", model, Provenance(**SAID), tmp_path / "weights")
    card = read_card("a-model", tmp_path / "weights")
    assert path == tmp_path / "weights" / "a-model.safetensors" and path.stat().st_size < 6e6
    assert (card.training_data, card.spacing_mm, card.licence) == ("blocks", 2.0, "Apache-2.0")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))
    loaded = SynthMorph.load(card)
    with torch.no_grad():
        one, two = (m.features(an_image) for m in (model, loaded))
    assert float(F.cosine_similarity(one.finest, two.finest, dim=0).min()) > 0.999  # stored in half precision
    assert (one.structures - two.structures).abs().max() < 0.02
    assert not loaded.training


def test_features_from_shapes_ship_without_structures(checkpoint, an_image):
    torch.manual_seed(2)
    task = FeatureTask(FeatureTaskConfig())
    model = assembled(checkpoint("features", task.model))
    with torch.no_grad():
        seen = model.features(an_image)
        expected = [F.normalize(level, dim=1) for level in task.model(an_image, (-1, 2))]  # -1: the output
    assert model.config.labels == () and seen.structures is None and seen.foreground is None
    assert torch.allclose(seen.finest, expected[0][0], atol=1e-5)
    assert torch.allclose(seen.levels[2], expected[1], atol=1e-5)


def test_the_heads_of_a_registration_training_ship_with_its_features(anatomy, checkpoint, an_image):
    features = checkpoint("anatomy", anatomy.model)
    born = assembled(features)
    task = registered(assembled(features))
    heads = checkpoint("heads", task.model)
    alone, both = assembled(registration=heads), assembled(features, heads)
    expected = velocity(task.model.model.eval(), an_image)
    assert all(torch.allclose(velocity(model, an_image), expected, atol=1e-3) for model in (alone, both))
    assert (velocity(born, an_image) - expected).abs().max() > 0.1
    assert alone.config.labels == tuple(ANATOMY)


def test_heads_do_not_ship_with_features_they_never_saw(anatomy, checkpoint):
    heads = checkpoint("heads", registered(assembled(checkpoint("anatomy", anatomy.model))).model)
    with torch.no_grad():
        anatomy.model.net.head.bias.add_(0.1)
    later = checkpoint("later", anatomy.model)
    with pytest.raises(ValueError, match="Found other features in later than heads was trained on"):
        assembled(later, heads)


def test_what_cannot_ship_is_said(checkpoint, tmp_path):
    papers = RegistrationTask(RegistrationTaskConfig(network="unet"), None)
    with pytest.raises(ValueError, match="Found the paper's U-Net in papers"):
        assembled(registration=checkpoint("papers", papers.model))
    (tmp_path / "young").mkdir()
    with pytest.raises(ValueError, match=r"Found no best.pt in young"):
        assembled(tmp_path / "young")
    with pytest.raises(ValueError, match="do not fit"):
        assembled(checkpoint("strange", torch.nn.ModuleDict({"net": torch.nn.Linear(2, 2)})))


def test_what_a_card_says_is_read_from_a_file(tmp_path):
    (tmp_path / "said.json").write_text(json.dumps({**SAID, "scores": {"dice": 0.6}}))
    read = Provenance.read(tmp_path / "said.json")
    assert read.limits == "all" and read.scores == {"dice": 0.6} and read.licence == "Apache-2.0"
