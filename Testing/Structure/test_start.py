"""What is imported before anything is computed: package, service, command line and model cards load no torch.

Slicer opens a panel, and the command line prints its help, through these imports. Each runs in a fresh process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "scipy", "nibabel", "SimpleITK", "matplotlib")
READ_CARDS = "from SlicerSynthReg.weights.registry import available, read_card; cards = [*map(read_card, available())]"


def imported_by(statement: str) -> set[str]:
    """Return those of HEAVY that `statement` imports in a fresh Python. Fails if the statement raises."""
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card in the user's own folder, so that there is one to read whatever ships."""
    text = ("method", "sha256", "licence", "training_data", "intended_use", "limits", "modalities", "trained_with")
    content = {"name": "own", "architecture": {}, "spacing_mm": 2.0, **dict.fromkeys(text, "none")}
    (tmp_path / "own.json").write_text(json.dumps(content))
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path))
    return tmp_path / "own.json"


def test_the_probe_detects_an_import() -> None:
    assert "numpy" in imported_by("import numpy")


@pytest.mark.usefixtures("card")
def test_the_card_is_among_those_read() -> None:
    imported_by(f"{READ_CARDS}; assert 'own' in [card.name for card in cards]")


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    "statement", ["import SlicerSynthReg; dir(SlicerSynthReg)", "import SlicerSynthReg.service.run", READ_CARDS]
)
def test_nothing_heavy_is_imported_before_anything_is_computed(statement: str) -> None:
    assert imported_by(statement) == set()


def test_the_command_line_prints_its_help_without_torch() -> None:
    assert "torch" not in imported_by("import SlicerSynthReg.cli.main")
