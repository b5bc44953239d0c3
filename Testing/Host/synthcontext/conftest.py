"""SynthContext's panel ready to be clicked, with a network that votes and a folder of models of the test's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

WORKERS_HOME = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def made_models(tmp_path_factory) -> Path:
    from Testing.Host.synthcontext.tiny import make_models

    folder = tmp_path_factory.mktemp("made") / "templates"
    folder.mkdir()
    make_models(folder)
    return folder


@pytest.fixture
def models(made_models, monkeypatch) -> Path:
    """The folder of the user's own models, which the worker and the panel look into; the voting network lies in it.

    The same folder, filled anew, for each test: the worker reads its path once.
    """
    folder = made_models.with_name("models")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made_models, folder)
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(WORKERS_HOME))
    return folder


@pytest.fixture
def panel(models):
    """With the voting network chosen, whose answer is known, in place of the one that ships."""
    from slicerhost import opened

    from Testing.Host.synthcontext.tiny import VOTING
    from Testing.Host.warm_worker import worker_given

    with opened("SynthContext") as panel, worker_given(panel):
        panel.expand("settingsCollapsibleButton")
        panel.choose("modelBox", f"{VOTING} (in-context)")
        yield panel


@pytest.fixture
def shots(tmp_path) -> Path:
    """Where pictures go: SYNTHREG_SHOTS keeps them."""
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
