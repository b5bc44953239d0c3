"""SynthRegister's panel, with real clicks; the worker is real, its registration is a known map."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import qt
import slicer
from slicerhost import close_scene, dialogs, extensions, opened, packaging, stall_meter, views
from slicerhost.installed import module_folder

WORKER = Path(__file__).with_name("answering_worker.py")
BLOCK_MS, OPEN_S, CANCEL_S, WARM_S = 50, 0.3, 2.0, 0.3
OURS = ("Volume", "Transform", "Segmentation", "Markups", "Display")


@pytest.fixture
def panel(monkeypatch):
    """Open, with the answering worker in place of the registration."""
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", "")
    monkeypatch.setenv("PYTHONPATH", str(WORKER.parents[2]))
    with opened("SynthRegister") as panel:
        give_worker(panel)
        yield panel


def give_worker(panel) -> None:
    from SynthRegLib.warm import WarmWorker

    panel.logic.worker = WarmWorker([sys.executable, str(WORKER)])


@pytest.fixture
def pair(panel, a_volume):
    """Two volumes, chosen in the panel."""
    fixed, moving = a_volume("fixed"), a_volume("moving", shift_mm=(4.0, 0.0, 0.0))
    panel.select("fixedSelector", fixed)
    panel.select("movingSelector", moving)
    return fixed, moving


def node_ids() -> set[str]:
    return {node.GetID() for kind in OURS for node in slicer.util.getNodesByClass(f"vtkMRML{kind}Node")}


def folders() -> set[Path]:
    return set(Path(slicer.app.temporaryPath).glob("SynthReg-*"))


def is_idle(panel) -> bool:
    return panel.text("applyButton") == "Apply"


def apply(panel) -> None:
    panel.click("applyButton")
    assert panel.text("applyButton") == "Cancel"


def wait_for_children(panel) -> list[psutil.Process]:
    """The worker and what it started, once it has started a child."""
    panel.wait_until(lambda: "child" in panel.text("logText"), 60, "the worker's child")
    worker = psutil.Process(panel.logic.worker.pid)
    family = [worker, *worker.children(recursive=True)]
    assert len(family) >= 2
    return family


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_it_opens_at_once_without_torch_and_says_what_to_do():
    module_folder()
    begun = time.process_time()
    with opened("SynthRegister") as panel:
        seconds = min(time.process_time() - begun, panel.seconds_to_open)
        assert "torch" not in sys.modules
        assert panel.logic.worker.pid is None
        assert panel.text("statusLabel").startswith("Choose the fixed image")
        assert not panel.is_enabled("applyButton")
        assert not panel.is_enabled("reportButton")
        assert "Not for diagnosis" in panel.text("noticeLabel")
    assert seconds < OPEN_S


def test_what_is_missing_is_named(panel, a_volume):
    fixed = a_volume("fixed")
    panel.select("fixedSelector", fixed)
    assert "moving image" in panel.text("statusLabel") and not panel.is_enabled("applyButton")
    panel.select("movingSelector", fixed)
    assert "Found fixed as fixed and as moving image" in panel.text("statusLabel")
    assert not panel.is_enabled("applyButton")
    panel.select("movingSelector", a_volume("moving"))
    assert panel.text("statusLabel") == "Ready: press Apply." and panel.is_enabled("applyButton")


def test_only_scans_are_offered_as_images(panel, a_labelmap, a_volume):
    labels, volume = a_labelmap("labels"), a_volume("scan")
    panel.select("fixedSelector", volume)
    with pytest.raises(LookupError, match="does not offer"):
        panel.select("movingSelector", labels)
    panel.expand("guidesCollapsibleButton")
    panel.select("movingLabelsSelector", labels)


def test_a_run_is_shown_and_ends_in_the_scene_and_the_views(panel, pair, tmp_path):
    fixed, moving = pair
    with stall_meter() as stall:
        apply(panel)
        assert panel.is_visible("progressBar")
        assert not panel.is_enabled("fixedSelector") and not panel.is_enabled("presetBox")
        panel.wait_until(lambda: is_idle(panel), 120)
    assert stall.longest_ms < BLOCK_MS, stall
    assert panel.text("statusLabel") == "Done: moving registered to fixed is in the scene."
    assert not panel.is_visible("progressBar") and panel.is_enabled("fixedSelector")
    moved = slicer.util.getNode("moving registered to fixed")
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetBackgroundVolumeID() == fixed.GetID()
        assert composite.GetForegroundVolumeID() == moved.GetID()
        assert composite.GetLinkedControl()
    names = {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLGridTransformNode")}
    assert names == {"moving to fixed", "fixed to moving"}
    assert "known map" in panel.text("resultLabel")
    assert panel.is_enabled("reportButton")
    panel.screenshot(tmp_path / "done.png")


def test_a_large_volume_under_a_bending_transform_does_not_freeze_the_window(panel, a_volume):
    """Two and a half million voxels, each sent through the inverse of a grid transform: seconds of work."""
    from Testing.Slicer.scenes import grid_parent

    affine = np.diag([0.7, 0.7, 1.0, 1.0])
    affine[:3, 3] = (-56.0, -56.0, -50.0)
    panel.select("fixedSelector", a_volume("fixed"))
    moving = a_volume("moving", (160, 160, 100), affine)
    moving.SetAndObserveTransformNodeID(grid_parent(5, from_parent=False).GetID())
    panel.select("movingSelector", moving)
    with stall_meter() as stall:
        apply(panel)
        panel.wait_until(lambda: is_idle(panel), 150)
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
    assert stall.longest_ms < BLOCK_MS, stall


def test_fade_and_checkerboard_change_what_is_seen(panel, pair):
    apply(panel)
    panel.wait_until(lambda: is_idle(panel), 120)
    panel.set_value("fadeSlider", 0.0)
    fixed_alone = views.pixels("Red").astype(int)
    panel.set_value("fadeSlider", 1.0)
    moved_alone = views.pixels("Red").astype(int)
    assert abs(fixed_alone - moved_alone).max() > 50
    before = node_ids()
    panel.click("checkerboardCheckBox")
    board = views.pixels("Red").astype(int)
    assert abs(board - fixed_alone).max() > 50 and abs(board - moved_alone).max() > 50
    like_fixed = (abs(board - fixed_alone).max(2) < 3).mean()
    like_moved = (abs(board - moved_alone).max(2) < 3).mean()
    assert like_fixed > 0.3 and like_moved > 0.3
    panel.click("checkerboardCheckBox")
    assert node_ids() == before


def test_a_second_run_finds_the_worker_warm(panel, pair):
    apply(panel)
    panel.wait_until(lambda: is_idle(panel), 120)
    first = panel.logic.worker.pid
    begun = time.process_time(), time.monotonic()
    panel.click("applyButton")
    panel.wait_until(lambda: panel.text("statusLabel") == "computing", 10)
    seconds = time.monotonic() - begun[1]
    panel.wait_until(lambda: is_idle(panel), 120)
    assert panel.logic.worker.pid == first is not None
    assert seconds < WARM_S * (1 if os.getloadavg()[0] < 1.5 else 4), "a busy machine may take longer"


@pytest.mark.parametrize("manner", ["slow", "deaf"])
def test_cancel_ends_the_whole_tree_and_leaves_nothing(panel, pair, monkeypatch, manner):
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", manner)
    before = node_ids(), folders()
    apply(panel)
    family = wait_for_children(panel)
    begun = time.monotonic()
    with stall_meter() as stall:
        panel.click("applyButton")
        panel.wait_until(lambda: all(gone(one) for one in family), CANCEL_S, "the worker's tree to end")
        panel.wait_until(lambda: is_idle(panel), 5)
    assert time.monotonic() - begun < CANCEL_S
    assert stall.longest_ms < BLOCK_MS, stall
    assert panel.text("statusLabel") == "Cancelled. Scene and disk are as before."
    assert (node_ids(), folders()) == before
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", "")
    apply(panel)
    panel.wait_until(lambda: is_idle(panel), 120)
    assert panel.text("statusLabel").startswith("Done")


def test_cancel_at_once_ends_a_worker_that_had_not_begun(panel, pair):
    before = node_ids(), folders()
    apply(panel)
    panel.wait_until(lambda: panel.text("statusLabel") != "reading the images", 10)
    panel.click("applyButton")
    panel.wait_until(lambda: is_idle(panel), 5)
    assert (node_ids(), folders()) == before
    mine = psutil.Process().children(recursive=True)
    assert not [one for one in mine if not gone(one) and WORKER.name in " ".join(one.cmdline())]


def test_closing_the_scene_ends_the_run_without_a_trace(panel, pair, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", "slow")
    before = folders()
    apply(panel)
    family = wait_for_children(panel)
    close_scene()
    panel.wait_until(lambda: all(gone(one) for one in family), CANCEL_S, "the worker's tree to end")
    panel.wait_until(lambda: folders() == before, 2)
    assert is_idle(panel) and not panel.is_enabled("applyButton")
    assert panel.text("statusLabel").startswith("Choose the fixed image")
    assert panel.text("fixedSelector") == "Choose the image that stays"
    assert not slicer.util.getNodesByClass("vtkMRMLVolumeNode")


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_deleting_an_image_that_is_registered_stops_the_run(panel, pair, monkeypatch, which):
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", "slow")
    apply(panel)
    family = wait_for_children(panel)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode(which))
    panel.wait_until(lambda: is_idle(panel), CANCEL_S + 1)
    assert all(gone(one) for one in family)
    assert f"Stopped, as {which} was deleted" in panel.text("logText")
    assert not slicer.util.getNodesByClass("vtkMRMLGridTransformNode")


def test_another_module_meanwhile_does_not_stop_the_run(panel, pair):
    apply(panel)
    panel.leave()
    panel.wait_until(lambda: slicer.util.getNodesByClass("vtkMRMLGridTransformNode"), 120)
    panel.return_()
    panel.wait_until(lambda: is_idle(panel), 5)
    assert panel.text("fixedSelector") == "fixed"


def test_reload_in_the_middle_ends_the_run_and_keeps_the_choice(panel, pair, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", "slow")
    panel.choose("presetBox", "Any anatomy (no network)")
    apply(panel)
    family = wait_for_children(panel)
    panel.reload()
    panel.wait_until(lambda: all(gone(one) for one in family), CANCEL_S, "the worker's tree to end")
    assert is_idle(panel) and panel.text("presetBox") == "Any anatomy (no network)"
    assert (panel.text("fixedSelector"), panel.text("movingSelector")) == ("fixed", "moving")
    give_worker(panel)
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", "")
    apply(panel)
    panel.wait_until(lambda: is_idle(panel), 120)
    assert panel.text("statusLabel").startswith("Done")


@pytest.mark.parametrize(("manner", "said"), [("memory", "too little memory"), ("die", "was ended by signal 9")])
def test_what_goes_wrong_in_the_worker_is_said(panel, pair, monkeypatch, manner, said):
    monkeypatch.setenv("SYNTHREG_TEST_MANNER", manner)
    before = node_ids(), folders()
    apply(panel)
    panel.wait_until(lambda: is_idle(panel), 60)
    text = panel.text("statusLabel")
    assert text.startswith("Found") and said in text and "expected" in text
    panel.wait_until(lambda: (node_ids(), folders()) == before, 5)
    panel.choose("presetBox", "Brain, fast")
    assert panel.text("statusLabel") == "Ready: press Apply."


def test_the_report_opens_in_the_browser(panel, pair, monkeypatch):
    asked = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: asked.append(url.toLocalFile()))
    apply(panel)
    panel.wait_until(lambda: is_idle(panel), 120)
    panel.click("reportButton")
    assert len(asked) == 1 and Path(asked[0]).name == "report.html" and Path(asked[0]).is_file()


def test_the_sample_pair_is_one_click_away(panel):
    with stall_meter() as stall:
        panel.click("sampleButton")
        panel.wait_until(lambda: panel.text("fixedSelector") == "Sample T1", 60)
    assert stall.longest_ms < BLOCK_MS, stall
    assert panel.is_enabled("applyButton")
    panel.expand("guidesCollapsibleButton")
    assert panel.text("movingLabelsSelector") == "Sample T2 labels"
    assert panel.text("fixedLandmarksSelector") == "Sample T1 landmarks"


def test_the_module_sample_data_offers_the_same_pair(panel):
    import SampleData

    nodes = SampleData.SampleDataLogic().downloadSamples("SynthRegisterPair")
    assert {"Sample T1", "Sample T2"} <= {node.GetName() for node in nodes}


def test_choices_are_kept_in_the_scene(panel, pair):
    panel.choose("presetBox", "Affine only: shift, turn, stretch")
    panel.set_value("smoothnessSlider", 2.5)
    panel.click("jacobianCheckBox")
    panel.leave()
    panel.return_()
    assert panel.text("presetBox") == "Affine only: shift, turn, stretch"
    assert panel["smoothnessSlider"].value == 2.5 and panel["jacobianCheckBox"].checked
    node = slicer.mrmlScene.GetSingletonNode("SynthRegister", "vtkMRMLScriptedModuleNode")
    assert node.GetParameter("preset") == "AFFINE" and node.GetNodeReference("fixed") is pair[0]


def without_torch(monkeypatch, *packages: str):
    """As in a Slicer where neither torch nor these packages are installed; the returned set is what is still absent."""
    from SynthRegLib import install

    absent = {"torch", *packages}
    found = install.importlib.util.find_spec
    monkeypatch.setattr(
        install.importlib.util, "find_spec", lambda name, *more: None if name in absent else found(name, *more)
    )
    return absent


def test_without_the_extension_pytorch_it_is_offered(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    extensions.offers("PyTorch")
    dialogs.answer("OK")
    panel.click("applyButton")
    assert extensions.requested == ["PyTorch"]
    assert "Restart Slicer" in panel.text("statusLabel") and is_idle(panel)


def test_without_consent_nothing_is_installed(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    extensions.offers("PyTorch")
    dialogs.answer("Cancel")
    panel.click("applyButton")
    assert extensions.requested == [] and "was not installed" in panel.text("statusLabel")


def test_without_network_it_says_so(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    dialogs.answer("OK")
    panel.click("applyButton")
    assert "could not be downloaded" in panel.text("statusLabel") and "network" in panel.text("statusLabel")
    assert is_idle(panel)


def test_the_other_packages_come_by_slicer_packaging_with_consent(panel, pair, monkeypatch):
    absent = without_torch(monkeypatch, "nibabel")
    absent.discard("torch")
    packaging.lacks("nibabel")
    packaging.offers("nibabel", lambda: absent.discard("nibabel"))
    dialogs.answer("OK")
    panel.click("applyButton")
    assert packaging.requested == ["nibabel"]
    panel.wait_until(lambda: is_idle(panel), 120)
    assert panel.text("statusLabel").startswith("Done")


def test_in_test_mode_nothing_is_installed_and_nobody_is_asked(panel, pair, monkeypatch):
    without_torch(monkeypatch)
    slicer.app.setTestingEnabled(True)
    panel.click("applyButton")
    assert "test mode" in panel.text("statusLabel") and extensions.requested == []


def test_a_card_that_torch_cannot_use_is_noted(panel, pair, monkeypatch):
    from SynthRegLib import install

    monkeypatch.setattr(install.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(install.importlib.metadata, "version", lambda name: "2.13.0+cpu")
    panel.click("applyButton")
    monkeypatch.undo()
    assert "computes on the processor only, on a computer with an NVIDIA card" in panel.text("logText")
    panel.click("applyButton")
    panel.wait_until(lambda: is_idle(panel), 10)


def test_deleting_a_shown_image_clears_the_result(panel, pair):
    apply(panel)
    panel.wait_until(lambda: is_idle(panel), 120)
    panel.click("checkerboardCheckBox")
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("moving registered to fixed"))
    panel.settle()
    assert panel.text("resultLabel") == "No result yet." and not panel.is_enabled("checkerboardCheckBox")
    assert not [node for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode") if "checkerboard" in node.GetName()]
