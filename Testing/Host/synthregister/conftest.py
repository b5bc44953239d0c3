"""SynthRegister's panel ready to be clicked, with a worker that answers with a known map."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def panel(monkeypatch):
    """Open, with the answering worker in place of the registration."""
    from slicerhost import opened

    from Testing.Host.synthregister.clicking import give_worker

    monkeypatch.setenv("SYNTHREG_TEST_MANNER", "")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))
    with opened("SynthRegister") as panel:
        give_worker(panel)
        yield panel


@pytest.fixture
def pair(panel, a_volume):
    """Two volumes, chosen in the panel."""
    fixed, moving = a_volume("fixed"), a_volume("moving", shift_mm=(4.0, 0.0, 0.0))
    panel.select("fixedSelector", fixed)
    panel.select("movingSelector", moving)
    return fixed, moving
