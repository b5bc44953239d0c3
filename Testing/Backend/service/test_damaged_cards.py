"""Model cards and names that are damaged or lead elsewhere."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from SlicerSynthReg.cli.main import app
from SlicerSynthReg.weights.registry import read_card
from Testing.Backend.refusals import refused


@pytest.mark.parametrize("data", [b"\xff\xfe", b"{", b"[]"])
def test_a_damaged_card_is_listed_as_damaged_beside_the_others(tmp_path, monkeypatch, data):
    (tmp_path / "broken.json").write_bytes(data)
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path))
    ran = CliRunner().invoke(app, ["models"])
    assert ran.exit_code == 0 and "broken" in ran.output and "damaged" in ran.output


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a\\b"])
def test_a_model_name_with_folders_is_refused(name):
    with refused("model-missing", "without folders"):
        read_card(name)
