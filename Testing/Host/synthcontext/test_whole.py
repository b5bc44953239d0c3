"""The sample as a user does it, with the shipped network: load, Apply, look. Skips where no network ships yet.

SYNTHREG_SHOTS=folder keeps the pictures.
"""

from __future__ import annotations

import dataclasses
import sys

import pytest
import slicer
from slicerhost import opened, views

from SlicerSynthReg.weights.registry import FOLDER, available
from SlicerSynthReg.weights.selection import CONTEXT_MODEL
from Testing.Host.synthcontext.clicking import is_idle


@pytest.fixture
def coarse_slices(monkeypatch) -> None:
    """Let the worker predict slices of 4 mm pixels from the examples alone; the defaults take more than a minute."""
    from SlicerSynthReg.service.client import WorkerClient

    run = WorkerClient.run

    def run_coarsely(client, request, *more):
        if request.task == "in-context_nodes":
            coarse = {"spacing_mm": 4.0, "support_size": 3, "support_slices": 0}
            request = dataclasses.replace(request, parameters={**request.parameters, **coarse})
        return run(client, request, *more)

    monkeypatch.setattr(WorkerClient, "run", run_coarsely)


@pytest.mark.skipif(CONTEXT_MODEL not in available(FOLDER), reason=f"the network {CONTEXT_MODEL} does not ship yet")
@pytest.mark.slow
def test_a_user_does_the_sample_by_its_examples(models, coarse_slices, shots):
    with opened("SynthContext") as panel:
        panel.screenshot(shots / "context-panel-idle.png")
        panel.click("sampleButton")
        examples, targets = panel["exampleTable"], panel["targetTable"]
        panel.wait_until(lambda: examples.rowCount == 3 and targets.rowCount == 1)
        panel.wait_until(lambda: not targets.item(0, 1).icon().isNull())
        panel.screenshot(shots / "context-panel-filled.png")
        views.screenshot(shots / "context-views-example.png")
        panel.click("applyButton")
        panel.wait_until(lambda: panel["progressBar"].value > 40)
        panel.screenshot(shots / "context-panel-running.png")
        panel.wait_until(lambda: is_idle(panel))
        assert panel.text("statusLabel").startswith("Done")
        panel.screenshot(shots / "context-panel-done.png")
        views.screenshot(shots / "context-views-done.png")
        assert f"Model: {CONTEXT_MODEL}" in panel.text("resultLabel")
        answer = slicer.util.getNode("Prediction of Sample head 4").GetSegmentation()
        names = [answer.GetNthSegment(n).GetName() for n in range(answer.GetNumberOfSegments())]
        assert names == ["fluid", "grey matter", "white matter", "deep nuclei"]
        assert float(targets.item(0, 2).text().split()[1]) > 0.4
        assert "torch" not in sys.modules, "only the worker computes"
