from __future__ import annotations

import numpy as np
import pytest

from SlicerSynthReg.methods.synthmorph.model import SynthMorph, SynthMorphConfig
from SlicerSynthReg.tasks import alignment, context_bring
from SlicerSynthReg.tasks.alignment import AlignmentConfig, NotABrain, align


def test_where_no_brain_is_seen_brains_alone_are_not_registered(a_head, monkeypatch):
    monkeypatch.setattr(alignment, "look", lambda *given: None)
    monkeypatch.setattr(alignment, "anatomy", lambda *given: None)
    image, _ = a_head(np.zeros(3), 4.0)
    model = SynthMorph(SynthMorphConfig(labels=("brain",)))
    with pytest.raises(NotABrain, match="No brain was recognised in the fixed or moving scan"):
        align(model, 4.0, image, image, AlignmentConfig(affine_only=True, brains_only=True))


def test_what_shows_no_brain_goes_the_way_of_any_anatomy(a_head, monkeypatch):
    monkeypatch.setattr(context_bring, "align", lambda *given: pytest.fail("taken for a brain"))
    fixed, _ = a_head(np.zeros(3), 4.0)
    moving, _ = a_head(np.array([30.0, 0.0, 0.0]), 4.0)
    through, notes = context_bring.bring(fixed, moving, "affine", "cpu", brain=False)
    assert through is not None and notes == ()
    assert np.abs(through.map_points(np.zeros((1, 3)))[0] - [30, 0, 0]).max() < 3
