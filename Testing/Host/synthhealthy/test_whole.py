"""One reconstruction and one registration via it as a user does them, with the backend's own tasks in the worker.

The network is the installed one, or, where there is none, one that returns the scan. SYNTHREG_SHOTS=folder keeps the
pictures.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import slicer
from slicerhost import opened, views

RETURNS_THE_SCAN = """
import sys
from pathlib import Path
import torch
from SlicerSynthReg.healthy.una import UNA, UNAConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.weights.registry import Card, save_model

config = UNAConfig(UNetConfig(inputs=2, outputs=4, widths=(4, 4, 4)), hidden=4)
model = UNA(config)
model.maps[2].weight.data.zero_()
model.maps[2].bias.data.copy_(torch.tensor([0.0, 20.0, 0.0, -6.0, -3.0]))
card = Card("una-brains", "UNA", config.to_card(), "", "Apache-2.0", "none", "Tests.", "any", 3.0, "any", "by hand")
save_model(card, model.state_dict(), Path(sys.argv[1]))
"""
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def network(tmp_path, monkeypatch) -> None:
    from SlicerSynthReg.weights.registry import available

    if "una-brains" in available():
        return
    folder = tmp_path / "weights"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", RETURNS_THE_SCAN, str(folder)], env=environment, check=True)
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(folder))


def a_sample():
    from SynthHealthyLib.sample import add_lesion_phantom, make_lesion_phantom
    from SynthRegLib.node_job import run_steps

    return run_steps(add_lesion_phantom(make_lesion_phantom(float(os.environ.get("SYNTHREG_SAMPLE_MM", "4.0")))))


@pytest.fixture
def shots(tmp_path) -> Path:
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.slow
def test_a_user_reconstructs_the_sample(network, shots):
    with opened("SynthHealthy") as panel:
        panel.screenshot(shots / "healthy-idle.png")
        nodes = a_sample()
        panel.select("imageSelector", nodes.scan)
        panel.choose("gridWidget", "As the input")
        panel.choose("mirrorWidget", "Affine (faster)")
        panel.click("applyButton")
        panel.wait_until(lambda: panel["progressBar"].value > 20)
        assert 0 < panel["progressBar"].value < 100
        panel.screenshot(shots / "healthy-running.png")
        panel.wait_until(lambda: panel.text("applyButton") == "Apply")
        assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
        panel.screenshot(shots / "healthy-done.png")
        views.screenshot(shots / "healthy-views.png")
        made = slicer.util.getNode("Healthy T1 of Sample T2 with a lesion")
        assert made.GetImageData().GetDimensions() == nodes.scan.GetImageData().GetDimensions()
        brain = slicer.util.arrayFromVolume(made) > 0
        assert 0.05 < brain.mean() < 0.6
        assert slicer.util.arrayFromVolume(nodes.scan)[brain].mean() > slicer.util.arrayFromVolume(nodes.scan).mean()
        panel.choose("foregroundBox", "Anomaly map")
        panel.set_value("opacitySlider", 0.7)
        views.screenshot(shots / "healthy-anomaly.png")
        assert "torch" not in sys.modules, "only the worker computes"


@pytest.mark.slow
def test_a_user_registers_the_sample_via_its_pseudo_healthy_image(network, shots, monkeypatch):
    """With preset "fast", which the panel does not offer."""
    with opened("SynthHealthy") as panel:
        from SynthHealthyLib import healthy_job
        from SynthRegLib.settings import Preset, Settings

        monkeypatch.setattr(healthy_job, "Settings", lambda options: Settings(Preset.FAST, options))
        nodes = a_sample()
        panel.select("imageSelector", nodes.scan)
        panel.expand("pseudoHealthyCollapsibleButton")
        panel.select("referenceSelector", nodes.reference)
        panel.click("pseudoHealthyButton")
        panel.wait_until(lambda: "healthy reconstruction" in panel.text("statusLabel"))
        panel.wait_until(lambda: panel.text("applyButton") == "Apply")
        assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
        figures = panel.text("resultLabel")
        assert "registered via its pseudo-healthy image" in figures or "No anomaly was found" in figures
        panel.screenshot(shots / "healthy-through.png")
        views.screenshot(shots / "healthy-through-views.png")
        moved = slicer.util.getNode("Sample T2 with a lesion registered to Sample reference T1")
        assert moved.GetImageData().GetDimensions() == nodes.reference.GetImageData().GetDimensions()
        assert slicer.util.getNode("Sample T2 with a lesion to Sample reference T1")


@pytest.mark.slow
def test_the_modules_own_test_passes(network):
    """What runs in a real Slicer by Reload and Test."""
    with opened("SynthHealthy"):
        sys.modules["SynthHealthy"].SynthHealthyTest().runTest()
