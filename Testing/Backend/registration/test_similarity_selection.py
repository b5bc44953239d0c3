"""Selection of the similarity measure, and the weights that a result depends on."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.networks.extractor import Extractor
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.registration.dispatch import select_similarity
from SlicerSynthReg.tasks.registry import TASKS
from SlicerSynthReg.weights.registry import available, read_card

BRAINS = "synthmorph-brains"
pytestmark = pytest.mark.skipif(BRAINS not in available(), reason="the brains model is not installed")


def test_deepsim_uses_the_encoder_of_the_brain_network_by_default(seeded):
    similarity = select_similarity(RegisterParameters(similarity="deepsim"))
    assert similarity is not None
    one, other = (
        F.interpolate(torch.rand((1, 1, 4, 4, 4), generator=seeded(n)), (32, 32, 32), mode="trilinear") for n in (0, 1)
    )
    with torch.no_grad():
        a, b = (similarity.channels(image[0, 0]) for image in (one, other))
        found = float(similarity.loss(a, b, torch.ones(32, 32, 32)))
        extractor = Extractor.load(read_card(BRAINS))
        expected = float((extractor(one) - extractor(other)).square().sum(0).mean())
    assert len(a) == 32 + 64 + 96  # the encoder's levels, not its output
    assert found == pytest.approx(expected, rel=1e-4) and found > 0.01
    assert float(similarity.loss(a, a, torch.ones(32, 32, 32))) == 0


def test_weights_of_deepsim_enter_the_fingerprint():
    register = TASKS["register"]
    given = {name: spec.default for name, spec in register.parameter_specs().items()}
    assert register.weights({**given, "model": "none", "similarity": "deepsim"}) == read_card(BRAINS).sha256
    assert register.weights({**given, "model": "none", "similarity": "mind"}) == ""
