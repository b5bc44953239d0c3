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


@pytest.mark.parametrize("statement", ["import SlicerSynthReg", "import SlicerSynthReg.run"])
def test_it_starts_in_half_a_second_without_torch(statement: str) -> None:
    measure(statement)  # writes the byte code and fills the file cache
    found = measure(statement)
    assert not found["torch"]
    assert found["seconds"] < 0.5
