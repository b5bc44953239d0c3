"""PySide6 as PythonQt, the ctk stand-ins, and the node combo box with the real one's habits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import numpy as np
import pytest
import qt
import slicer
from slicerhost import close_scene, dialogs, pythonqt


def test_properties_are_attributes_and_slots_stay_methods() -> None:
    label = qt.QLabel("a")
    label.text = "b"
    assert label.text == "b"
    label.setText("c")
    assert (label.text, label.visible, label.enabled) == ("c", False, True)
    label.name = "me"
    assert label.objectName == "me"
    assert label.className() == "QLabel"


def test_signals_are_connected_by_signature_and_only_those_that_exist() -> None:
    heard: list[Any] = []
    box = qt.QCheckBox()
    box.connect("toggled(bool)", heard.append)
    box.checked = True
    box.disconnect("toggled(bool)", heard.append)
    box.checked = False
    assert heard == [True]
    with pytest.raises(ValueError, match=r"QCheckBox has no signal checked\(bool\)"):
        box.connect("checked(bool)", heard.append)


@pytest.mark.parametrize("value", [np.int64(4), np.float32(4)])
def test_numpy_numbers_are_refused(value: Any) -> None:
    for widget in (qt.QSpinBox(), ctk.ctkSliderWidget()):
        with pytest.raises(TypeError, match="Python"):
            widget.value = value


def test_enumerators_equal_integers_without_their_enums_name() -> None:
    assert qt.QMessageBox.Ok == 1024
    assert qt.Qt.AlignCenter == 132
    label = qt.QLabel()
    label.alignment = qt.Qt.AlignRight
    assert label.alignment == qt.Qt.AlignRight


def test_a_class_keeps_what_a_property_hides_on_its_instances() -> None:
    timer = qt.QTimer()
    timer.singleShot = True
    assert timer.singleShot is True
    assert callable(qt.QTimer.singleShot)


def test_a_stray_attribute_is_found() -> None:
    button = qt.QPushButton()
    button.enabeld = False
    assert pythonqt.stray_attributes() == ["QPushButton.enabeld"]
    del button.enabeld
    assert pythonqt.stray_attributes() == []


def test_a_slider_keeps_to_its_range_and_says_so_once() -> None:
    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum, slider.singleStep = 0, 2, 0.1
    heard: list[float] = []
    slider.connect("valueChanged(double)", heard.append)
    slider.value = 5
    slider.value = 5
    slider.value = 0.25
    assert heard == [2.0, 0.25]


def test_a_collapsible_button_hides_what_it_holds() -> None:
    button = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(button)
    child = qt.QLabel("inside")
    layout.addWidget(child)
    heard: list[bool] = []
    button.connect("contentsCollapsed(bool)", heard.append)
    button.show()
    assert child.visible
    button.collapsed = True
    assert not child.visible
    assert heard == [True]


def test_what_a_module_hides_in_a_collapsible_button_stays_hidden_when_it_is_opened() -> None:
    button = ctk.ctkCollapsibleButton()
    button.collapsed = True
    column = qt.QVBoxLayout(button)
    seen, hidden = qt.QLabel("a"), qt.QLabel("b")
    for label in (seen, hidden):
        column.addWidget(label)
    button.show()
    hidden.setVisible(False)
    button.collapsed = False
    assert (seen.visible, hidden.visible) == (True, False)
    button.collapsed = True
    hidden.setVisible(True)
    assert (seen.visible, hidden.visible) == (False, False)
    button.collapsed = False
    assert (seen.visible, hidden.visible) == (True, True)


def test_paths_come_from_a_planned_dialog(tmp_path: Path) -> None:
    line = ctk.ctkPathLineEdit()
    heard: list[str] = []
    line.connect("currentPathChanged(QString)", heard.append)
    dialogs.choose_path(tmp_path)
    line.browse()
    assert heard == [str(tmp_path)] == [line.currentPath]


@pytest.fixture
def combo(scene: Any) -> Callable[..., Any]:
    def build(**properties: Any) -> Any:
        box = slicer.qMRMLNodeComboBox()
        for name, value in {"nodeTypes": ["vtkMRMLScalarVolumeNode"], "noneEnabled": True, **properties}.items():
            setattr(box, name, value)
        box.setMRMLScene(scene)
        return box

    return build


def names(box: Any) -> list[str]:
    return [box.nodeFromIndex(index).GetName() for index in range(box.nodeCount())]


def test_the_selector_offers_the_types_it_was_given(combo: Any, a_volume: Any, a_labelmap: Any, scene: Any) -> None:
    a_volume("v")
    a_labelmap("l")
    scene.AddNewNodeByClass("vtkMRMLModelNode", "m")
    a_volume("hidden").SetHideFromEditors(True)
    assert names(combo()) == ["v", "l"], "a labelmap is a scalar volume"
    assert names(combo(hideChildNodeTypes=["vtkMRMLLabelMapVolumeNode"])) == ["v"]
    assert names(combo(showChildNodeTypes=False)) == ["v"]
    assert names(combo(nodeTypes=["vtkMRMLLabelMapVolumeNode", "vtkMRMLModelNode"])) == ["l", "m"]
    assert names(combo(showHidden=True)) == ["v", "l", "hidden"]


def test_a_selector_filters_by_attribute(combo: Any, a_volume: Any) -> None:
    a_volume("a").SetAttribute("Side", "left")
    a_volume("b")
    box = combo()
    box.addAttribute("vtkMRMLScalarVolumeNode", "Side", "left")
    assert names(box) == ["a"]


def test_the_first_node_is_selected_by_itself_unless_there_is_none_to_choose(combo: Any, a_volume: Any) -> None:
    free, bound = combo(), combo(noneEnabled=False)
    volume = a_volume()
    assert free.currentNode() is None
    assert bound.currentNode() is volume


def test_signals_tell_the_node_its_id_and_whether_there_is_one(combo: Any, a_volume: Any) -> None:
    box, volume = combo(), a_volume()
    heard: list[Any] = []
    for signature in ("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)", "currentNodeIDChanged(QString)"):
        box.connect(signature, heard.append)
    box.setCurrentNode(volume)
    assert heard == [volume, True, volume.GetID()]
    box.currentNodeID = ""
    assert heard[3:] == [None, False, ""]


def test_deleting_the_current_node_selects_its_neighbour(combo: Any, a_volume: Any, scene: Any) -> None:
    box, nodes = combo(), [a_volume(name) for name in "abc"]
    box.setCurrentNode(nodes[1])
    scene.RemoveNode(nodes[1])
    assert box.currentNode() is nodes[2]
    scene.RemoveNode(nodes[2])
    assert box.currentNode() is nodes[0]
    scene.RemoveNode(nodes[0])
    assert box.currentNode() is None


def test_another_node_of_the_same_name_is_selected_in_silence(combo: Any, a_volume: Any) -> None:
    box, one, other, heard = combo(), a_volume("same"), a_volume("same"), []
    box.setCurrentNode(one)
    box.currentNodeChanged.connect(heard.append)
    box.setCurrentNode(other)
    assert box.currentNode() is other
    assert heard == []


def test_closing_the_scene_empties_the_selector(combo: Any, a_volume: Any) -> None:
    box, heard = combo(), []
    box.setCurrentNode(a_volume())
    box.currentNodeChanged.connect(heard.append)
    close_scene()
    assert box.nodeCount() == 0
    assert heard == [None]


def test_without_a_scene_the_selector_is_disabled_and_remembers_a_wish(a_volume: Any, scene: Any) -> None:
    box, volume = slicer.qMRMLNodeComboBox(), a_volume()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    assert not box.enabled
    box.setCurrentNode(volume)
    box.setMRMLScene(scene)
    assert box.enabled
    assert box.currentNode() is volume


def test_the_user_makes_a_node_from_the_selector(combo: Any) -> None:
    box, heard = combo(nodeTypes=["vtkMRMLLinearTransformNode"]), []
    box.connect("nodeAddedByUser(vtkMRMLNode*)", heard.append)
    box.activate_extra(f"Create new {box.nodeTypeLabel('vtkMRMLLinearTransformNode')}")
    assert heard == [box.currentNode()]
    box.addEnabled = False
    with pytest.raises(LookupError):
        box.activate_extra("Create")
