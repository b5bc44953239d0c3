"""What may be imported before anything is computed: the package, the door and the registry of weights, without torch.

Slicer opens a panel, and the command line prints its help, through these imports: each is measured in a fresh process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURE = """
import json, sys, time
start = time.process_time()
{statement}
seconds = time.process_time() - start
print(json.dumps({{"seconds": seconds, "torch": "torch" in sys.modules}}))
"""


def measure(statement: str) -> dict[str, float]:
    """Processor seconds of `statement` in a fresh Python, and whether torch was loaded by it; fails when it raises."""
    command = [sys.executable, "-c", MEASURE.format(statement=statement)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def test_the_measurement_sees_torch_and_time() -> None:
    found = measure("import torch")
    assert found["torch"]
    assert found["seconds"] > 0.2


READ_CARDS = "from SlicerSynthReg.weights.registry import available, read_card; cards = [*map(read_card, available())]"


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card in a folder of the user's own, so that there is one to read whatever ships."""
    text = ("method", "sha256", "licence", "training_data", "intended_use", "limits", "modalities", "trained_with")
    content = {"name": "own", "architecture": {}, "spacing_mm": 2.0, **dict.fromkeys(text, "none")}
    (tmp_path / "own.json").write_text(json.dumps(content))
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path))
    return tmp_path / "own.json"


@pytest.mark.usefixtures("card")
def test_the_card_is_among_those_read() -> None:
    measure(f"{READ_CARDS}; assert 'own' in [card.name for card in cards]")


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("statement", ["import SlicerSynthReg", "import SlicerSynthReg.run", READ_CARDS])
def test_it_starts_in_half_a_second_without_torch(statement: str) -> None:
    measure(statement)  # writes the byte code and fills the file cache
    found = measure(statement)
    assert not found["torch"]
    assert found["seconds"] < 0.5
