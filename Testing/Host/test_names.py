"""The facts about Slicer's names against what is really there: PySide6's classes, slicer-core's, and the stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from Testing.Structure import slicer_facts

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT.parent / "shared" / "notes" / "slicer-qt-api.json"
FACTS = json.loads(slicer_facts.FACTS.read_text())["facts"]


def test_the_stand_ins_offer_nothing_that_the_real_classes_lack() -> None:
    offered = slicer_facts.names_offered()
    assert len(offered) > 100
    assert not offered - FACTS.keys(), f"run {slicer_facts.__file__}"


def test_what_is_said_to_be_qts_or_vtks_is_there() -> None:
    checked = [name for name, fact in FACTS.items() if fact.startswith(("Qt", "slicer-core", "vtk"))]
    assert len(checked) > 100
    for name in checked:
        if not FACTS[name].startswith("Qt, "):
            assert slicer_facts.fact_of(name, {}) == FACTS[name]
        else:
            base = FACTS[name].partition(", ")[2]
            assert slicer_facts.fact_of(f"{base}.{name.partition('.')[2]}", {}) == FACTS[name]


@pytest.mark.skipif(not LIST.exists(), reason="the full list of PythonQt's names lies beside the repository, not in it")
def test_the_facts_are_those_of_the_full_list() -> None:
    classes = json.loads(LIST.read_text())["classes"]
    assert {name: slicer_facts.fact_of(name, classes) for name in FACTS} == FACTS


@pytest.mark.parametrize(
    "name", ["QLabel.txt", "QPushButton.clicked(int)", "vtkMRMLNode.GetIdd", "vtk?.GetNothingAtAll"]
)
def test_a_name_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(LookupError):
        slicer_facts.fact_of(name, {})
