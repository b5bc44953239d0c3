"""Parameters of panels from the parameter records of the backend."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace

import ctk
import pytest
import qt
import slicer
from slicer.parameterNodeWrapper import parameterNodeWrapper
from SynthRegLib.parameter_pack import WITHOUT_WIDGET, ParameterPack, widget_name

from SlicerSynthReg.parameters.base import parameter_specs
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.tasks.registry import TASKS


@pytest.fixture
def pack() -> ParameterPack:
    sections = {WITHOUT_WIDGET: ("model",), "section": ("anatomy", "regularization", "affine_only", "healthy_model")}
    return ParameterPack(RegisterParameters, sections, {"regularization": 2.0})


@pytest.fixture
def node(pack):
    @parameterNodeWrapper
    class Node(pack.base()):
        fixed: slicer.vtkMRMLScalarVolumeNode

    return Node(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


@pytest.fixture
def panel():
    section = qt.QWidget()
    qt.QFormLayout(section)
    return SimpleNamespace(section=section)


def test_a_new_node_is_the_default_record_with_the_defaults_of_the_panel(pack, node):
    assert pack.read(node) == RegisterParameters(regularization=2.0)
    assert pack.values(node) == {
        "model": None,
        "anatomy": "auto",
        "regularization": 2.0,
        "affine_only": False,
        "healthy_model": None,
    }


def test_values_of_the_node_reach_the_record_and_are_bounded_as_it_says(pack, node):
    node.anatomy = next(choice for choice in type(node.anatomy) if choice.value == "mr-ct")
    node.model, node.regularization, node.affine_only = " own ", 0.2, True
    found = asdict(pack.read(node))
    expected = {"anatomy": "mr-ct", "model": "own", "regularization": 0.2, "affine_only": True}
    assert {name: found[name] for name in expected} == expected
    for out_of_bounds in (0.1, 5.1):
        with pytest.raises(ValueError):
            node.regularization = out_of_bounds
    with pytest.raises(TypeError):
        node.anatomy = "mr-ct"


def test_each_field_has_a_widget_with_the_texts_of_the_record(pack, node, panel):
    pack.add_widgets(panel)
    pack.add_widgets(panel)
    node.connectGui(panel)
    specs = parameter_specs(RegisterParameters)
    shown = {name: getattr(panel, widget_name(name)) for name in pack.sections["section"]}
    assert not hasattr(panel, widget_name("model"))
    kinds = {name: type(widget) for name, widget in shown.items()}
    assert kinds == {
        "anatomy": qt.QComboBox,
        "regularization": ctk.ctkSliderWidget,
        "affine_only": qt.QCheckBox,
        "healthy_model": qt.QLineEdit,
    }
    form = panel.section.layout()
    assert form.rowCount() == len(shown), "a field is added once"
    for name, widget in shown.items():
        assert widget.toolTip == specs[name].help
        label = widget.text if name == "affine_only" else form.labelForField(widget).text
        assert label.rstrip(":") == specs[name].caption
    box = shown["anatomy"]
    assert [box.itemText(n) for n in range(box.count)] == list(specs["anatomy"].choices.values())
    box.currentIndex = 2
    shown["affine_only"].checked = True
    assert (pack.read(node).anatomy, pack.read(node).affine_only) == ("ct", True)


def test_fields_of_two_records_with_the_same_choices_share_a_type():
    packs = [ParameterPack(TASKS[task].parameters, {"section": ("device",)}) for task in ("register", "healthy")]
    first, second = (pack.base().__annotations__["device"] for pack in packs)
    assert first is second and [choice.value for choice in first] == ["auto", "cpu", "cuda"]


def test_every_record_can_be_a_pack():
    for task, spec in TASKS.items():
        specs = parameter_specs(spec.parameters)
        named = [name for name, one in specs.items() if one.default is not None or one.kind is str]
        pack = ParameterPack(spec.parameters, {WITHOUT_WIDGET: named})
        node = parameterNodeWrapper(pack.base())(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
        values = pack.values(node)
        assert {name: values[name] for name in named} == {name: specs[name].default for name in named}, task


def test_a_name_that_is_no_field_of_the_record_is_refused():
    with pytest.raises(KeyError):
        ParameterPack(RegisterParameters, {"section": ("smoothness",)}).base()
