"""One registration as a user does it, nothing replaced: sample, Apply, the shipped default, the worker, the views.

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

from Testing.Host.synthregister.clicking import TURNS


@pytest.fixture
def shots(tmp_path) -> Path:
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.slow
def test_a_user_registers_the_sample_and_sees_it(shots):
    with opened("SynthRegister") as panel:
        from SynthRegLib.node_job import run_steps
        from SynthRegLib.phantom import make_phantom
        from SynthRegLib.sample_nodes import add_sample

        panel.screenshot(shots / "panel-idle.png")
        nodes = run_steps(add_sample(make_phantom(float(os.environ.get("SYNTHREG_SAMPLE_MM", "4.0")))))
        panel.select("fixedSelector", nodes.fixed)
        panel.screenshot(shots / "panel-missing-input.png")
        panel.select("movingSelector", nodes.moving)
        panel.expand("guidesCollapsibleButton")
        for role in ("fixed", "moving"):
            panel.select(f"{role}LabelsSelector", getattr(nodes, f"{role}_labels"))
            panel.select(f"{role}LandmarksSelector", getattr(nodes, f"{role}_landmarks"))
        from SynthRegLib import display

        display.show_pair(nodes.fixed, nodes.moving, 0.5)
        views.screenshot(shots / "views-before.png")
        before = views.pixels("Red")
        with count_turns() as turns:
            panel.click("applyButton")
            panel.wait_until(lambda: panel["progressBar"].value > 40)
            assert 0 < panel["progressBar"].value < 100
        panel.screenshot(shots / "panel-running.png")
        with count_turns() as last_turns:
            panel.wait_until(lambda: panel.text("applyButton") == "Apply")
        assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
        assert turns.count >= TURNS
        assert last_turns.count >= TURNS
        panel.screenshot(shots / "panel-done.png")
        views.screenshot(shots / "views-after.png")
        after = views.pixels("Red")
        panel.click("checkerboardCheckBox")
        views.screenshot(shots / "views-checkerboard.png")
        assert difference(before, after) > 2 and difference(after, views.pixels("Red")) > 2
        figures = panel.text("resultLabel")
        assert "Folding: none" in figures and "Dice" in figures and "TRE" in figures
        moved = slicer.util.getNode("Sample T2 registered to Sample T1")
        assert moved.GetImageData().GetDimensions() == nodes.fixed.GetImageData().GetDimensions()
        tissue = slicer.util.arrayFromVolume(nodes.fixed_labels) > 0
        assert slicer.util.arrayFromVolume(moved)[tissue].mean() > 3 * slicer.util.arrayFromVolume(moved)[0].mean()
        assert "torch" not in sys.modules, "only the worker computes"


@pytest.mark.slow
def test_the_modules_own_test_passes():
    """What runs in a real Slicer by Reload and Test."""
    with opened("SynthRegister"):
        test = sys.modules["SynthRegister"].SynthRegisterTest()
        test.runTest()


@pytest.mark.slow
def test_register_in_a_script_without_a_window(tmp_path):
    with opened("SynthRegister", main_window=False) as panel:
        from SynthRegLib.node_job import run_steps
        from SynthRegLib.phantom import make_phantom
        from SynthRegLib.sample_nodes import add_sample
        from SynthRegLib.settings import Preset, Settings

        nodes = run_steps(add_sample(make_phantom(5.0)))
        heard = []
        registered = panel.logic.register(
            nodes.fixed, nodes.moving, Settings(Preset.AFFINE), lambda share, text: heard.append((share, text))
        )
        panel.logic.close()
        assert registered.moved is not None and registered.inverse is not None
        assert [share for share, _ in heard] == sorted(share for share, _ in heard) and len(heard) > 4
