"""From SynthRegister's result to SynthReview with one click."""

from __future__ import annotations

from pathlib import Path

import pytest
from slicerhost import opened

from Testing.Host.synthregister.clicking import click_row

WORKER = Path(__file__).resolve().parents[1] / "synthregister" / "known_worker.py"


@pytest.fixture
def register(panel, monkeypatch):
    """SynthRegister beside SynthReview, with a worker that finds a known transform."""
    from Testing.Host.warm_worker import worker_given

    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "")
    monkeypatch.setenv("PYTHONPATH", str(WORKER.parents[3]))
    with opened("SynthRegister", main_window=False) as register, worker_given(register, WORKER):
        yield register


@pytest.mark.slow
def test_a_result_is_reviewed_with_its_transform(panel, register, a_volume):
    fixed, moving = a_volume("fixed"), a_volume("moving", shift_mm=(4.0, 0.0, 0.0))
    register.select("fixedSelector", fixed)
    register.select("movingSelector", moving)
    register.click("applyButton")
    register.wait_until(lambda: register.text("applyButton") == "Apply")
    register.click("reviewButton")
    assert panel["firstSelector"].currentNode() is fixed
    assert panel["secondSelector"].currentNode().GetName() == "moving registered to fixed"
    assert panel["transformSelector"].currentNode().GetName() == "moving to fixed"


@pytest.mark.slow
def test_two_results_are_seen_side_by_side(panel, register, a_volume):
    fixed, moving = a_volume("fixed"), a_volume("moving", shift_mm=(4.0, 0.0, 0.0))
    register.select("fixedSelector", fixed)
    register.select("movingSelector", moving)
    for _run in range(2):
        register.click("applyButton")
        register.wait_until(lambda: register.text("applyButton") == "Apply")
    click_row(register, 0)
    click_row(register, 1, more=True)
    register.click("compareButton")
    assert panel["firstSelector"].currentNode().GetName() == "moving registered to fixed"
    assert panel["secondSelector"].currentNode().GetName() == "moving registered to fixed_1"
    assert panel.text("modeBox") == "Split (wipe)"
