"""SynthRegister's panel ready to be clicked, with a worker that finds a known transform."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def panel(monkeypatch):
    """Open, with the worker of known results in place of the registration."""
    from slicerhost import opened

    from Testing.Host.synthregister.clicking import WORKER
    from Testing.Host.warm_worker import worker_given

    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))
    with opened("SynthRegister") as panel, worker_given(panel, WORKER):
        yield panel


@pytest.fixture
def pair(panel, a_volume):
    """Two volumes, chosen in the panel."""
    fixed, moving = a_volume("fixed"), a_volume("moving", shift_mm=(4.0, 0.0, 0.0))
    panel.select("fixedSelector", fixed)
    panel.select("movingSelector", moving)
    return fixed, moving
