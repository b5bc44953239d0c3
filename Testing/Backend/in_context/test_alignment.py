from __future__ import annotations

import numpy as np
import pytest

from SlicerSynthReg.errors import BrainNotFound
from SlicerSynthReg.in_context import alignment
from SlicerSynthReg.registration import brain_pipeline
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, register_brains
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.synthmorph import SynthMorph, SynthMorphConfig


def test_registration_that_requires_brains_raises_without_them(a_head, monkeypatch):
    monkeypatch.setattr(brain_pipeline, "network_features", lambda *arguments: None)
    monkeypatch.setattr(brain_pipeline, "brain_mask", lambda *arguments: None)
    image, _ = a_head(np.zeros(3), 4.0)
    config = BrainPipelineConfig(spacing_mm=4.0, affine_only=True, require_brains=True)
    with pytest.raises(BrainNotFound):
        register_brains(RegistrationInputs(image, image), config, SynthMorph(SynthMorphConfig(labels=("brain",))))


def test_images_without_brain_are_registered_by_the_generic_pipeline(a_head, monkeypatch):
    monkeypatch.setattr(alignment, "register_brains", lambda *arguments: pytest.fail("taken for a brain"))
    fixed, _ = a_head(np.zeros(3), 4.0)
    moving, _ = a_head(np.array([30.0, 0.0, 0.0]), 4.0)
    result = alignment.align_to_reference(fixed, moving, "affine", "cpu", brain=False)
    assert result.transform is not None and result.notes == ()
    assert np.abs(result.transform.map_points(np.zeros((1, 3)))[0] - [30, 0, 0]).max() < 3
