"""Look up each name of Qt, CTK, qMRML, Slicer and VTK that the modules use in slicerhost's table of facts.

Slicer's widgets exist nowhere but in Slicer: a misspelt property would be found by the first user.
"""

from __future__ import annotations

import collections
import re
from pathlib import Path

import pytest
from slicerhost.facts import read_facts
from slicerhost.names_used import names_used

MODULES = Path(__file__).resolve().parents[2] / "Modules"
REMEDY = "check the name in Slicer's sources, then run `python -m slicerhost.facts LIST Modules`"


def test_each_name_has_a_fact(capsys: pytest.CaptureFixture[str]) -> None:
    facts, used = read_facts(), names_used(MODULES)
    unknown = {name: sorted(places) for name, places in used.items() if name not in facts}
    assert not unknown, f"{unknown}: {REMEDY}"
    origins = collections.Counter(re.search("slicer-core|CTK|Slicer|Qt|vtk|slicer", facts[name])[0] for name in used)
    with capsys.disabled():
        print(f"\n{len(used)} names of Slicer, CTK, qMRML, Qt and VTK in Modules, each with its fact: {dict(origins)}")
    assert len(used) > 100
