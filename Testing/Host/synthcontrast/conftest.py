"""SynthContrast's panel ready to be clicked, with a tiny untrained network among the user's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TINY = "tiny"


@pytest.fixture(scope="module")
def own_weights(tmp_path_factory) -> Path:
    """A folder with the network TINY and its card."""
    folder = tmp_path_factory.mktemp("weights")
    script = Path(__file__).with_name("tiny_model.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script), str(folder), TINY], check=True, env=environment)
    return folder


@pytest.fixture
def with_tiny(own_weights, monkeypatch) -> str:
    """The network is found as a user's own is; its name."""
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(own_weights))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return TINY


@pytest.fixture
def panel(with_tiny):
    """Open, with that network chosen."""
    from slicerhost import opened

    from Testing.Host.warm_worker import worker_given

    with opened("SynthContrast") as panel, worker_given(panel):
        panel.choose("modelBox", with_tiny)
        yield panel
