"""SynthHealthy's panel ready to be clicked, with a worker whose results are known and a network that is only a card."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from SlicerSynthReg.weights.registry import Card

WORKER = Path(__file__).with_name("known_worker.py")


@pytest.fixture
def network(tmp_path, monkeypatch) -> Path:
    """A folder of weights in which una-brains has a card; nobody loads it."""
    folder = tmp_path / "weights"
    folder.mkdir()
    card = Card("una-brains", "UNA", {}, "0", "Apache-2.0", "nothing", "For tests.", "all", 2.0, "any", "by hand")
    (folder / "una-brains.json").write_text(json.dumps(asdict(card)))
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def panel(network, monkeypatch):
    """Open, with the worker of known results in place of the backend."""
    from slicerhost import opened

    from Testing.Host.warm_worker import worker_given

    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "")
    monkeypatch.setenv("PYTHONPATH", str(WORKER.parents[3]))
    with opened("SynthHealthy") as panel, worker_given(panel, WORKER):
        yield panel


@pytest.fixture
def scan(panel, a_volume):
    """A volume, chosen in the panel: bright voxels are a lesion."""
    scan = a_volume("scan")
    panel.select("imageSelector", scan)
    return scan
