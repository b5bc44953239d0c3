"""SynthMorph's shapes variant knows no structures: it is asked for a velocity, and not whether it sees a brain."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("nilearn", reason="the template comes with nilearn (extra 'demo')")

from SlicerSynthReg.demo import make_pair
from SlicerSynthReg.methods.synthmorph.model import SynthMorph, SynthMorphConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.request import Request
from SlicerSynthReg.run import run
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import read_card

COMPARED_MM = 6.0


@pytest.fixture
def a_head() -> Volume:
    return make_pair(spacing=6.0).fixed


@pytest.fixture
def a_network_that_pushes_to_the_right(monkeypatch) -> SynthMorph:
    """By half of its voxels, two of which are one of the comparison's."""
    torch.manual_seed(0)
    model = SynthMorph(SynthMorphConfig(UNetConfig(1, 4, (4, 8, 8, 8, 8)))).eval()

    def pushed(fixed, moving, weight):
        finest = max(moving.values(), key=lambda features: features[0, 0].numel())
        i, j, k = finest.shape[2:]
        return torch.tensor([0.5, 0.0, 0.0]).view(1, 3, 1, 1, 1).expand(1, 3, i, j, k)

    monkeypatch.setattr(model, "velocity", pushed)
    return model


def test_its_velocity_is_taken_without_a_word_about_brains(a_head, a_network_that_pushes_to_the_right):
    config = AlignmentConfig(refine=False, brains_only=True)
    found = align(a_network_that_pushes_to_the_right, COMPARED_MM, a_head, a_head, config)
    assert found.warnings == ()
    assert found.velocity is not None and found.velocity.grid.spacing[0] == pytest.approx(2 * COMPARED_MM)
    middle = found.velocity.grid.center_mm
    moved = found.transform.map_points(middle[None])[0] - middle
    assert moved[0] == pytest.approx(COMPARED_MM, abs=0.5) and abs(moved[1:]).max() < 0.5


@pytest.mark.parametrize("model", ["synthmorph-brains", "synthmorph-shapes", "none"])
def test_a_result_says_when_its_model_does_no_better_than_none(model, a_head, tmp_path):
    write_volume(a_head, tmp_path / "head.nii.gz")
    inputs = dict.fromkeys(("fixed", "moving"), str(tmp_path / "head.nii.gz"))
    chosen = {"model": model, "anatomy": "brain", "affine_only": True}
    found = run(Request("register", inputs, str(tmp_path / "out"), chosen))
    told = [text for text in found.warnings if "no better than going without it" in text]
    assert bool(told) == (model != "none" and not read_card(model).beats_baseline) == (model == "synthmorph-shapes")


@pytest.mark.parametrize("similarity", ["features", "mind"])
def test_so_it_does_when_the_features_that_are_compared_do_no_better(similarity, a_head, tmp_path):
    write_volume(a_head, tmp_path / "head.nii.gz")
    inputs = dict.fromkeys(("fixed", "moving"), str(tmp_path / "head.nii.gz"))
    chosen = {"model": "none", "similarity": similarity, "features_model": "features-any", "affine_only": True}
    found = run(Request("register", inputs, str(tmp_path / "out"), chosen))
    assert any("features-any does no better" in text for text in found.warnings) == (similarity == "features")
