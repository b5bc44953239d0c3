"""Fine-tuning in the panel, in the real worker with a tiny network: its curve, its early end, the new model applied."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import slicer
from slicerhost import dialogs

from SlicerSynthReg.weights.selection import CONTEXT_MODEL
from Testing.Host.synthcontext.clicking import a_head, a_pair, a_segmentation, drop, is_idle, run
from Testing.Host.synthcontext.tiny import FEATURES

TAB_APPLY, TAB_TUNE = 0, 1


def show_tab(panel, index: int) -> None:
    panel["tabs"].currentIndex = index
    panel.settle()


@pytest.fixture
def ready(panel):
    """Three examples and a name; a start from the tiny features."""
    for n in range(3):
        drop(panel, "exampleTable", a_pair(f"example {n + 1}", shift_mm=4.0 * n, seed=n))
    show_tab(panel, TAB_TUNE)
    panel.choose("startBox", FEATURES)
    panel.type("modelNameWidget", "my-balls")
    panel.set_value("minutesWidget", 2.0)


def losses(panel) -> list:
    return panel.widget._fineTuningSection._course.losses if panel.widget._fineTuningSection._course is not None else []


def share_trained(panel) -> float:
    """Of the steps that the budget allows."""
    return losses(panel)[-1][0] / panel.widget._fineTuningSection._course.steps if losses(panel) else 0.0


@pytest.mark.slow
def test_a_model_is_trained_finished_early_and_applied(panel, ready, models, shots):
    assert panel.text("statusLabel") == "Ready: press Start fine-tuning."
    panel.click("fineTuneButton")
    assert panel.text("fineTuneButton") == "Cancel" and not panel.is_enabled("finishButton")
    panel.wait_until(lambda: share_trained(panel) > 0.05)
    assert panel.text("statusLabel") == "Training ..." and panel.text("courseLabel").startswith("Step ")
    picture = panel["curveLabel"].pixmap.toImage()
    blue = sum(
        picture.pixelColor(x, y).blue() > picture.pixelColor(x, y).red() + 60
        for x in range(10, picture.width() - 10)
        for y in range(25, picture.height() - 5)
    )
    assert panel.is_visible("curveLabel") and blue > 3, "the loss is drawn"
    panel.screenshot(shots / "context-training.png")
    panel.click("finishButton")
    assert not panel.is_enabled("finishButton") and "Finishing" in panel.text("courseLabel")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done: the model my-balls is installed")
    text = panel.text("courseLabel")
    assert "finished early" in text and "Dice of validation cases" in text and f"pretrained: {FEATURES}" in text
    assert (models / "my-balls.json").exists() and not (models / "my-balls.training").exists()
    panel.screenshot(shots / "context-trained.png")

    show_tab(panel, TAB_APPLY)
    panel.expand("settingsCollapsibleButton")
    assert panel.text("modelBox") == "my-balls (fine-tuned)"
    assert not panel.is_enabled("predictorWidget") and not panel.is_enabled("alignmentWidget"), "no examples are asked"
    assert "volumes of the user's own" in panel.text("modelLabel")
    target, labels = a_head("target", seed=9)
    drop(panel, "targetTable", [target, a_segmentation(target, labels, ("ball", "rest"))])
    assert run(panel) == "Done: Prediction of target is in the scene."
    answer = slicer.util.getNode("Prediction of target").GetSegmentation()
    assert [answer.GetNthSegment(n).GetName() for n in range(2)] == ["rest", "ball"], "the examples' own names"
    assert answer.GetNthSegment(1).GetColor() == pytest.approx((0.9, 0.2, 0.1))
    assert "ball: " in panel.text("resultLabel") and ", Dice " in panel.text("resultLabel")
    dialogs.answer("OK")
    panel.click("removeModelButton")
    assert panel.text("modelBox") == f"{CONTEXT_MODEL} (in-context)" and not list(models.glob("my-balls*"))


@pytest.mark.slow
def test_a_cancelled_training_goes_on_when_it_is_started_again(panel, ready, models):
    panel.set_value("minutesWidget", 1.5)
    panel.click("fineTuneButton")
    panel.wait_until(lambda: panel.widget._fineTuningSection._course.scores)
    checked = panel.widget._fineTuningSection._course.scores[-1][0]
    worker = psutil.Process(panel.logic.worker.pid)
    panel.click("fineTuneButton")
    panel.wait_until(lambda: is_idle(panel))
    panel.wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert panel.text("statusLabel").startswith("Cancelled. Start again with the same examples")
    assert (models / "my-balls.training" / "last.pt").exists() and not (models / "my-balls.json").exists()
    panel.click("fineTuneButton")
    panel.wait_until(lambda: losses(panel))
    assert losses(panel)[0][0] > checked > 0
    panel.click("finishButton")
    panel.wait_until(lambda: is_idle(panel))
    assert (models / "my-balls.json").exists()


@pytest.mark.slow
def test_what_cannot_be_trained_is_said(panel, ready, models):
    panel.type("modelNameWidget", " ")
    assert "Found no name for the new model" in panel.text("statusLabel") and not panel.is_enabled("fineTuneButton")
    panel.type("modelNameWidget", "my model?")
    run_text = run(panel, "fineTuneButton")
    assert "Found the name 'my model?', expected letters" in run_text
    assert panel.text("fineTuneButton") == "Start fine-tuning" and panel.is_enabled("fineTuneButton")
    image = a_head("image", seed=4)[0]
    other = slicer.util.addVolumeFromArray(1000 - 2 * slicer.util.arrayFromVolume(image).astype(np.int16))
    other.SetName("image output")
    while panel["exampleTable"].rowCount:
        panel["exampleTable"].selectRow(0)
        panel.click("removeExampleButton")
    drop(panel, "exampleTable", [image])
    drop(panel, "exampleTable", [other], column=1)
    assert "Found examples with images, expected segmentations" in panel.text("statusLabel")
