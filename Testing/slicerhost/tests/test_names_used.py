"""Collect the names that a module uses with their owners; look them up in the table of facts."""

from __future__ import annotations

from pathlib import Path

import pytest
from slicerhost.facts import read_facts
from slicerhost.names_used import names_used

PANEL = """
import qt
import slicer


class Widget:
    def setup(self):
        self.ui.applyButton.connect("clicked(bool)", self.go)
        self.timer = qt.QTimer()

    def go(self, checked, node: slicer.vtkMRMLScalarVolumeNode = None):
        self.ui.volumeSelector.addEnabled = False
        self.timer.start()
        manager = slicer.app.layoutManager()
        manager.sliceWidget("Red").sliceController().fitSliceToBackground()
        node.GetImageData()
        slicer.util.getNode("x").GetDisplayNode()
"""
UI = """
<ui><widget class="qMRMLWidget" name="top"><property name="geometry"/>
  <widget class="QPushButton" name="applyButton"><property name="text"/></widget>
  <widget class="qMRMLNodeComboBox" name="volumeSelector"><property name="own" stdset="0"/></widget></widget>
<connections><connection><sender>top</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
  <receiver>volumeSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "Panel.py").write_text(PANEL)
    (tmp_path / "Panel.ui").write_text(UI)
    return tmp_path


def test_names_are_read_with_their_owners(modules: Path) -> None:
    assert set(names_used(modules)) == {
        "QPushButton",
        "QPushButton.clicked(bool)",
        "QPushButton.text",
        "QTimer",
        "QTimer.start",
        "qMRMLNodeComboBox",
        "qMRMLNodeComboBox.addEnabled",
        "qMRMLNodeComboBox.setMRMLScene",
        "qMRMLSliceControllerWidget.fitSliceToBackground",
        "qMRMLSliceWidget.sliceController",
        "qMRMLWidget",
        "qMRMLWidget.geometry",
        "qMRMLWidget.mrmlSceneChanged(vtkMRMLScene*)",
        "qSlicerApplication.layoutManager",
        "qSlicerLayoutManager.sliceWidget",
        "slicer.util.getNode",
        "vtk?.GetDisplayNode",
        "vtkMRMLScalarVolumeNode",
        "vtkMRMLScalarVolumeNode.GetImageData",
    }


@pytest.mark.parametrize(
    ("old", "new", "unknown"),
    [
        ("clicked(bool)", "clikced(bool)", "QPushButton.clikced(bool)"),
        ("addEnabled", "addEnabeld", "qMRMLNodeComboBox.addEnabeld"),
        ("sliceController", "sliceControler", "qMRMLSliceWidget.sliceControler"),
        ("GetImageData", "GetImagedata", "vtkMRMLScalarVolumeNode.GetImagedata"),
        ("GetDisplayNode", "GetDisplayNodes", "vtk?.GetDisplayNodes"),
        ("layoutManager()", "layoutManger()", "qSlicerApplication.layoutManger"),
        ("self.timer.start", "self.timer.begin", "QTimer.begin"),
        ("ui.applyButton", "ui.aplyButton", "a .ui file.clicked(bool)"),
    ],
)
def test_a_misspelt_name_has_none(modules: Path, old: str, new: str, unknown: str) -> None:
    script = modules / "Panel.py"
    script.write_text(PANEL.replace(old, new))
    used = names_used(modules)
    assert unknown in used
    assert unknown not in read_facts()
