"""Compare the table of facts with PySide6's classes, slicer-core's classes and the stand-ins."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from slicerhost import facts

API_LIST = os.environ.get("SLICERHOST_API_LIST", "")
"""The full list of PythonQt's names: a file of some megabytes, parsed from Slicer's and CTK's headers."""
FACTS = facts.read_facts()


def test_the_stand_ins_offer_nothing_that_the_real_classes_lack() -> None:
    offered = facts.names_offered()
    assert len(offered) > 100
    assert not offered - FACTS.keys(), f"run {facts.__file__}"


def test_names_of_qt_and_vtk_exist() -> None:
    checked = [name for name, fact in FACTS.items() if fact.startswith(("Qt", "slicer-core", "vtk"))]
    assert len(checked) > 100
    for name in checked:
        if not FACTS[name].startswith("Qt, "):
            assert facts.fact_of(name, {}) == FACTS[name]
        else:
            base = FACTS[name].partition(", ")[2]
            assert facts.fact_of(f"{base}.{name.partition('.')[2]}", {}) == FACTS[name]


@pytest.mark.skipif(not API_LIST, reason="SLICERHOST_API_LIST names no list of PythonQt's names")
def test_the_facts_are_those_of_the_full_list() -> None:
    classes = json.loads(Path(API_LIST).read_text())["classes"]
    assert {name: facts.fact_of(name, classes) for name in FACTS} == FACTS


@pytest.mark.parametrize(
    "name", ["QLabel.txt", "QPushButton.clicked(int)", "vtkMRMLNode.GetIdd", "vtk?.GetNothingAtAll"]
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(LookupError):
        facts.fact_of(name, {})
