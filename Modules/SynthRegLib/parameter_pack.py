"""Parameters of a panel, from the backend's parameter record: types of the parameter node, widgets, request values.

A panel names the fields of a record that it shows and the section of each; captions, choices, bounds, defaults and tool
tips are those of the record (SlicerSynthReg.parameters). A parameter is added to a panel by adding its name.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import ctk
import qt
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import (
    Maximum,
    Minimum,
    SlicerParameterNamePropertyName,
    WithinRange,
)

from SlicerSynthReg.parameters.base import ParameterSpec, parameter_specs

Record = TypeVar("Record")
WITHOUT_WIDGET = ""
"""Section of fields whose widgets the panel makes itself."""


@dataclass(frozen=True)
class ParameterPack(Generic[Record]):
    """Fields of `record` in a parameter node.

    sections: object name of a widget with a form layout -> fields, shown there in this order. defaults: the panel's,
    where they differ from the record's. A text field that may be None is "" in the node.
    """

    record: type[Record]
    sections: Mapping[str, Sequence[str]]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def specs(self) -> dict[str, ParameterSpec]:
        """Return the declarations of the fields by name, in the order of the sections."""
        known = parameter_specs(self.record)
        return {name: known[name] for names in self.sections.values() for name in names}

    def base(self) -> type:
        """Return a class to derive a parameter node from: annotations and defaults for the parameterNodeWrapper."""
        specs = self.specs
        defaults = {name: _node_value(spec, self.defaults.get(name, spec.default)) for name, spec in specs.items()}
        hints = {name: node_type(spec) for name, spec in specs.items()}
        return type(f"{self.record.__name__}Pack", (), {"__annotations__": hints, **defaults})

    def values(self, node: Any) -> dict[str, Any]:
        """Return the fields of a parameter node by name, as a request takes them."""
        return {name: _request_value(spec, getattr(node, name)) for name, spec in self.specs.items()}

    def read(self, node: Any) -> Record:
        """Return the record with the fields of a parameter node; other fields have the record's defaults."""
        return self.record(**self.values(node))

    def add_widgets(self, ui: Any) -> None:
        """Add a row for each field to its section of the panel; ui.<field in camel case>Widget is the widget."""
        for section, names in self.sections.items():
            if section == WITHOUT_WIDGET:
                continue
            form = getattr(ui, section).layout()
            for name in names:
                if not hasattr(ui, widget_name(name)):
                    _add_row(form, ui, self.specs[name])


def node_type(spec: ParameterSpec) -> Any:
    """Return the type of a parameter as parameterNodeWrapper reads it."""
    if spec.choices:
        return choice_enum(spec.name, tuple(spec.choices.items()))
    low, high = spec.usual or (spec.low, spec.high)
    if low is not None and high is not None:
        return Annotated[spec.kind, WithinRange(low, high)]
    if low is not None:
        return Annotated[spec.kind, Minimum(low)]
    return spec.kind if high is None else Annotated[spec.kind, Maximum(high)]


@cache
def choice_enum(name: str, choices: tuple[tuple[str, str], ...]) -> type[enum.Enum]:
    """Return an Enum of the choices; label() is their text in the panel. The scene keeps the member's name."""
    members = {value.upper().replace("-", "_"): value for value, _text in choices}
    found = _Choice(f"{name.title().replace('_', '')}Choice", members)
    found.texts = dict(choices)
    return found


class _Choice(enum.Enum):
    def label(self) -> str:
        return _(type(self).texts[self.value])


def widget_name(name: str) -> str:
    """Return the object name of the widget of a field: fill_lesions -> fillLesionsWidget."""
    first, *rest = name.split("_")
    return "".join((first, *(word.capitalize() for word in rest), "Widget"))


def _node_value(spec: ParameterSpec, value: Any) -> Any:
    if spec.choices:
        return next(member for member in node_type(spec) if member.value == value)
    return "" if value is None and spec.kind is str else value


def _request_value(spec: ParameterSpec, value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if spec.kind is str:
        return value.strip() or (None if spec.default is None else "")
    return spec.kind(value)


def _add_row(form: Any, ui: Any, spec: ParameterSpec) -> None:
    widget = _widget(spec)
    widget.objectName = widget_name(spec.name)
    widget.toolTip = _(spec.help)
    widget.setProperty(SlicerParameterNamePropertyName, spec.name)
    if spec.kind is bool:
        widget.text = _(spec.caption)
        form.addRow("", widget)
    else:
        form.addRow(_(spec.caption) + ":", widget)
    setattr(ui, widget_name(spec.name), widget)


def _widget(spec: ParameterSpec) -> Any:
    """Return a widget that parameterNodeWrapper connects to the type; it sets bounds and choices itself."""
    if spec.choices:
        return qt.QComboBox()
    if spec.kind is float and spec.usual:
        slider = ctk.ctkSliderWidget()
        slider.singleStep = 0.05 if spec.usual[1] - spec.usual[0] < 10 else 1.0
        return slider
    return {bool: qt.QCheckBox, int: qt.QSpinBox, float: qt.QDoubleSpinBox, str: qt.QLineEdit}[spec.kind]()
