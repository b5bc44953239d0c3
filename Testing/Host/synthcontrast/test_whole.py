"""A conversion as a user does it, nothing replaced: sample, preview, Apply, the shipped network, the views.

SYNTHREG_SHOTS=folder keeps the pictures.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from slicerhost import count_turns, opened, views

from Testing.Host.synthcontrast.scans import a_ct, organs
from Testing.Host.synthregister.clicking import TURNS, is_idle

SHIPPED = Path(__file__).resolve().parents[3] / "SlicerSynthReg" / "weights" / "mfm-abdomen.json"


@pytest.fixture
def shots(tmp_path) -> Path:
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.skipif(not SHIPPED.exists(), reason="the network for contrast in CT is not installed")
@pytest.mark.slow
def test_a_user_converts_the_sample_and_sees_it(shots):
    with opened("SynthContrast") as panel:
        panel.screenshot(shots / "panel-idle.png")
        panel.click("sampleButton")
        with count_turns() as turns:
            panel.wait_until(lambda: is_idle(panel))
        assert panel.text("imageSelector") == "Sample CT, arterial phase", panel.text("statusLabel")
        assert panel.text("modelBox") == "mfm-abdomen" and "not validated on patients" in panel.text("modelLabel")
        panel.screenshot(shots / "panel-ready.png")
        views.screenshot(shots / "views-before.png")
        panel.click("previewButton")
        panel.wait_until(lambda: is_idle(panel))
        panel.screenshot(shots / "panel-preview.png")
        views.screenshot(shots / "views-preview.png")
        panel.click("applyButton")
        with count_turns() as run_turns:
            panel.wait_until(lambda: "synthesising native" in panel.text("statusLabel"))
            panel.screenshot(shots / "panel-running.png")
            panel.wait_until(lambda: is_idle(panel))
        assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
        assert turns.count >= TURNS
        assert run_turns.count >= TURNS
        panel.screenshot(shots / "panel-done.png")
        views.screenshot(shots / "views-done.png")
        panel.choose("foregroundBox", "Cycle error")
        views.screenshot(shots / "views-cycle.png")
        made = panel.widget._view.made
        rows = {row.name: row for row in made.organs}
        assert rows["aorta"].before > 200 and rows["aorta"].after < 100, "the contrast is taken away"
        assert abs(rows["vertebra"].after - rows["vertebra"].before) < 60
        truth = slicer.util.arrayFromVolume(slicer.util.getNode("Sample CT, native")).astype(float)
        scan, result = (slicer.util.arrayFromVolume(node).astype(float) for node in (made.source, made.image))
        enhanced, error = scan - truth > 20, np.abs(result - truth)
        assert error[enhanced].mean() < 0.5 * (scan - truth)[enhanced].mean()
        assert np.median(error[~enhanced & (truth > -300)]) < 6, "what iodine does not reach is nearly left alone"
        assert "torch" not in sys.modules, "only the worker computes"


@pytest.mark.slow
def test_the_modules_own_test_passes(with_tiny):
    """What runs in a real Slicer by Reload and Test."""
    with opened("SynthContrast"):
        sys.modules["SynthContrast"].SynthContrastTest().runTest()


@pytest.mark.slow
def test_convert_in_a_script_without_a_window(with_tiny):
    with opened("SynthContrast", main_window=False) as panel:
        from SlicerSynthReg.parameters.derived_images import ContrastParameters

        heard: list[float] = []
        settings = ContrastParameters(target_phase="arterial", model=with_tiny)
        made = panel.logic.convert(a_ct(), settings, organs(), lambda share, text: heard.append(share))
        panel.logic.close()
        assert made.cycle is not None and [row.name for row in made.organs] == ["Liver", "Aorta"]
        assert heard == sorted(heard) and len(heard) > 4


@pytest.mark.slow
def test_the_module_sample_data_offers_the_same_patient(with_tiny):
    with opened("SynthContrast"):
        from slicerhost.sampledata import click_sample_button

        nodes = click_sample_button("SynthContrastAbdomen")
    assert [node.GetName() for node in nodes] == ["Sample CT, arterial phase", "Sample CT, native", "Sample organs"]
