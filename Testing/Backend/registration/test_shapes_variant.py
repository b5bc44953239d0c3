"""SynthMorph's shapes variant has no labels: it predicts a velocity, but no brain mask."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("nilearn", reason="the template comes with nilearn (extra 'demo')")

from SlicerSynthReg.cli.demo import make_demo_pair
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, register_brains
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.synthmorph import SynthMorph, SynthMorphConfig
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.weights.registry import read_card

SPACING_MM = 6.0


@pytest.fixture
def head() -> Image:
    return make_demo_pair(spacing=6.0).fixed


@pytest.fixture
def network_with_constant_velocity(monkeypatch) -> SynthMorph:
    """Half a voxel to the right on its grid, which has twice the spacing of the comparison."""
    torch.manual_seed(0)
    model = SynthMorph(SynthMorphConfig(UNetConfig(1, 4, (4, 8, 8, 8, 8)))).eval()

    def constant(fixed, moving, weight):
        finest = max(moving.values(), key=lambda features: features[0, 0].numel())
        i, j, k = finest.shape[2:]
        return torch.tensor([0.5, 0.0, 0.0]).view(1, 3, 1, 1, 1).expand(1, 3, i, j, k)

    monkeypatch.setattr(model, "velocity", constant)
    return model


def test_velocity_is_used_without_a_brain_warning(head, network_with_constant_velocity):
    config = BrainPipelineConfig(spacing_mm=SPACING_MM, refine=False, require_brains=True)
    found = register_brains(RegistrationInputs(head, head), config, network_with_constant_velocity)
    assert found.warnings == ()
    velocity = found.transform.parts[0]
    assert velocity.grid.spacing[0] == pytest.approx(2 * SPACING_MM)
    middle = velocity.grid.center_mm
    moved = found.transform.map_points(middle[None])[0] - middle
    assert moved[0] == pytest.approx(SPACING_MM, abs=0.5) and abs(moved[1:]).max() < 0.5


@pytest.mark.parametrize("model", ["synthmorph-brains", "synthmorph-shapes", "none"])
def test_model_that_does_not_beat_the_baseline_is_reported(model, head, tmp_path):
    write_image(head, tmp_path / "head.nii.gz")
    inputs = dict.fromkeys(("fixed", "moving"), str(tmp_path / "head.nii.gz"))
    chosen = {"model": model, "anatomy": "brain", "affine_only": True}
    found = run(Request("register", inputs, str(tmp_path / "out"), chosen))
    reported = [text for text in found.warnings if "does not outperform" in text]
    assert bool(reported) == (model != "none" and not read_card(model).beats_baseline) == (model == "synthmorph-shapes")


@pytest.mark.parametrize("similarity", ["features", "mind"])
def test_feature_model_that_does_not_beat_the_baseline_is_reported(similarity, head, tmp_path):
    write_image(head, tmp_path / "head.nii.gz")
    inputs = dict.fromkeys(("fixed", "moving"), str(tmp_path / "head.nii.gz"))
    chosen = {"model": "none", "similarity": similarity, "features_model": "features-any", "affine_only": True}
    found = run(Request("register", inputs, str(tmp_path / "out"), chosen))
    assert any("features-any does not outperform" in text for text in found.warnings) == (similarity == "features")
