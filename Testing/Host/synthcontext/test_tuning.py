"""Fine-tuning in the panel, in the real worker with a tiny network: its curve, its early end, the new model applied."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import slicer
from slicerhost import dialogs

from SlicerSynthReg.tasks.model import CONTEXT_MODEL
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
    panel.type("nameEdit", "my-balls")
    panel.set_value("minutesBox", 10.0)


def losses(panel) -> list:
    return panel.widget._tune._course.losses if panel.widget._tune._course is not None else []


def share_trained(panel) -> float:
    """Of the steps that the budget allows."""
    return losses(panel)[-1][0] / panel.widget._tune._course.steps if losses(panel) else 0.0


def test_a_model_is_trained_finished_early_and_applied(panel, ready, models, shots):
    assert panel.text("statusLabel") == "Ready: press Start fine-tuning."
    panel.click("tuneButton")
    assert panel.text("tuneButton") == "Cancel" and not panel.is_enabled("finishButton")
    panel.wait_until(lambda: share_trained(panel) > 0.05, 300)
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
    panel.wait_until(lambda: is_idle(panel), 120)
    assert panel.text("statusLabel").startswith("Done: the model my-balls is in the list of models")
    told = panel.text("courseLabel")
    assert "finished early" in told and "Dice on the examples left out" in told and f"from {FEATURES}" in told
    assert (models / "my-balls.json").exists() and not (models / "my-balls.training").exists()
    panel.screenshot(shots / "context-trained.png")

    show_tab(panel, TAB_APPLY)
    panel.expand("settingsCollapsibleButton")
    assert panel.text("modelBox") == "my-balls (fine-tuned)"
    assert not panel.is_enabled("wayBox") and not panel.is_enabled("alignmentBox"), "no examples are asked"
    assert "volumes of the user's own" in panel.text("modelLabel")
    target, labels = a_head("target", seed=9)
    drop(panel, "targetTable", [target, a_segmentation(target, labels, ("ball", "rest"))])
    assert run(panel) == "Done: target by examples is in the scene."
    answer = slicer.util.getNode("target by examples").GetSegmentation()
    assert [answer.GetNthSegment(n).GetName() for n in range(2)] == ["rest", "ball"], "the examples' own names"
    assert answer.GetNthSegment(1).GetColor() == pytest.approx((0.9, 0.2, 0.1))
    assert "ball: " in panel.text("resultLabel") and "Dice with the truth" in panel.text("resultLabel")
    dialogs.answer("OK")
    panel.click("removeModelButton")
    assert panel.text("modelBox") == f"{CONTEXT_MODEL} (by examples)" and not list(models.glob("my-balls*"))


def test_a_cancelled_training_goes_on_when_it_is_started_again(panel, ready, models):
    panel.set_value("minutesBox", 1.5)
    panel.click("tuneButton")
    panel.wait_until(lambda: panel.widget._tune._course.scores, 300)
    checked = panel.widget._tune._course.scores[-1][0]
    worker = psutil.Process(panel.logic.worker.pid)
    panel.click("tuneButton")
    panel.wait_until(lambda: is_idle(panel), 20)
    panel.wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 10)
    assert panel.text("statusLabel").startswith("Cancelled. Start again with the same examples")
    assert (models / "my-balls.training" / "last.pt").exists() and not (models / "my-balls.json").exists()
    panel.click("tuneButton")
    panel.wait_until(lambda: losses(panel), 300)
    assert losses(panel)[0][0] > checked > 0
    panel.click("finishButton")
    panel.wait_until(lambda: is_idle(panel), 120)
    assert (models / "my-balls.json").exists()


def test_what_cannot_be_trained_is_said(panel, ready, models):
    panel.type("nameEdit", " ")
    assert "Found no name for the new model" in panel.text("statusLabel") and not panel.is_enabled("tuneButton")
    panel.type("nameEdit", "my model?")
    run_text = run(panel, "tuneButton")
    assert "Found the name 'my model?', expected letters" in run_text
    assert panel.text("tuneButton") == "Start fine-tuning" and panel.is_enabled("tuneButton")
    image = a_head("image", seed=4)[0]
    other = slicer.util.addVolumeFromArray(1000 - 2 * slicer.util.arrayFromVolume(image).astype(np.int16))
    other.SetName("image output")
    while panel["exampleTable"].rowCount:
        panel["exampleTable"].selectRow(0)
        panel.click("removeExampleButton")
    drop(panel, "exampleTable", [image])
    drop(panel, "exampleTable", [other], column=1)
    assert "Found images as what the examples show, expected segmentations" in panel.text("statusLabel")
