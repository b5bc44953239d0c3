"""Stand-ins of ctk's number and path widgets: the properties and signals of the real ones, a plain look.

A slider emits `valueIsChanging` while it is dragged and `valueChanged` when let go, or at once where `tracking` is on.
"""

from __future__ import annotations

import math
import os

from PySide6 import QtCore, QtWidgets

from slicerhost.declare import checked, declared
from slicerhost.modal import dialogs

_STEPS = 10_000


class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    """A QWidget around a spin box in ctk; the names that a panel uses are the same."""


class ctkSliderWidget(QtWidgets.QWidget):
    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = 0.0
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._slider.setRange(0, _STEPS)
        self._box = QtWidgets.QDoubleSpinBox(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._following = False
        self._apply()
        self._slider.valueChanged.connect(self._slid)
        self._slider.sliderReleased.connect(self._released)
        self._box.valueChanged.connect(self._typed)

    def _apply(self) -> None:
        """Range, decimals and texts to the two widgets inside."""
        self._following = True
        self._box.decimals = self.decimals
        self._box.setRange(self.minimum, self.maximum)
        self._box.singleStep = self.singleStep
        self._box.prefix, self._box.suffix = self.prefix, self.suffix
        self._box.visible = self.spinBoxVisible
        self._following = False
        self.setValue(self._value)
        self._show()

    def _show(self) -> None:
        span = self.maximum - self.minimum
        self._following = True
        self._slider.value = round((self._value - self.minimum) / span * _STEPS) if span > 0 else 0
        self._box.value = self._value
        self._following = False

    def _slid(self, place: int) -> None:
        if self._following:
            return
        value = self.minimum + (self.maximum - self.minimum) * place / _STEPS
        value = self.minimum + round((value - self.minimum) / self.singleStep) * self.singleStep
        if self._slider.sliderDown and not self.tracking:
            self._pending = value
            self.valueIsChanging.emit(value)
        else:
            self.setValue(value)

    def _released(self) -> None:
        if not self.tracking and hasattr(self, "_pending"):
            self.setValue(self._pending)

    def _typed(self, value: float) -> None:
        if not self._following:
            self.setValue(value)

    def setValue(self, value: float) -> None:
        value = round(min(max(checked(float, "value", value), self.minimum), self.maximum), self.decimals)
        if value != self._value:
            self._value = value
            self._show()
            self.valueIsChanging.emit(value)
            self.valueChanged.emit(value)

    def _read(self) -> float:
        return self._value

    def reset(self) -> None:
        self.setValue(min(max(0.0, self.minimum), self.maximum))

    def setDecimals(self, decimals: int) -> None:
        self.decimals = decimals
        self.decimalsChanged.emit(decimals)

    def setSpinBoxVisible(self, visible: bool) -> None:
        self.spinBoxVisible = visible

    value = QtCore.Property(float, _read, setValue)
    minimum = declared(float, "minimum", 0.0, _apply)
    maximum = declared(float, "maximum", 100.0, _apply)
    singleStep = declared(float, "singleStep", 1.0, _apply)
    pageStep = declared(float, "pageStep", 10.0)
    decimals = declared(int, "decimals", 2, _apply)
    prefix = declared(str, "prefix", "", _apply)
    suffix = declared(str, "suffix", "", _apply)
    tracking = declared(bool, "tracking", True)
    spinBoxVisible = declared(bool, "spinBoxVisible", True, _apply)
    tickInterval = declared(float, "tickInterval", 0.0)


class ctkRangeWidget(QtWidgets.QWidget):
    valuesChanged = QtCore.Signal(float, float)
    rangeChanged = QtCore.Signal(float, float)
    minimumValueChanged = QtCore.Signal(float)
    maximumValueChanged = QtCore.Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = 0.0, 99.0
        self._boxes = [QtWidgets.QDoubleSpinBox(self), QtWidgets.QDoubleSpinBox(self)]
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for box in self._boxes:
            box.setRange(-math.inf, math.inf)
            row.addWidget(box)
            box.valueChanged.connect(self._typed)
        self.setValues(0.0, 99.0)

    def _typed(self) -> None:
        self.setValues(self._boxes[0].value, self._boxes[1].value)

    def setRange(self, low: float, high: float) -> None:
        self.minimum, self.maximum = low, high
        self.rangeChanged.emit(low, high)

    def _clamp(self) -> None:
        self.setValues(self._low, self._high)

    minimum = declared(float, "minimum", 0.0, _clamp)
    maximum = declared(float, "maximum", 99.0, _clamp)
    decimals = declared(int, "decimals", 2)
    singleStep = declared(float, "singleStep", 1.0)
    suffix = declared(str, "suffix", "")

    def setValues(self, low: float, high: float) -> None:
        low, high = (min(max(checked(float, "values", one), self.minimum), self.maximum) for one in (low, high))
        before, (self._low, self._high) = (self._low, self._high), (low, max(low, high))
        for box, value in zip(self._boxes, (self._low, self._high)):
            box.blockSignals(True)
            box.value = value
            box.blockSignals(False)
        if (self._low, self._high) != before:
            self.minimumValueChanged.emit(self._low)
            self.maximumValueChanged.emit(self._high)
            self.valuesChanged.emit(self._low, self._high)

    minimumValue = QtCore.Property(float, lambda self: self._low, lambda self, low: self.setValues(low, self._high))
    maximumValue = QtCore.Property(float, lambda self: self._high, lambda self, high: self.setValues(self._low, high))


class ctkPathLineEdit(QtWidgets.QWidget):
    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QtWidgets.QLineEdit(self)
        self._button = QtWidgets.QToolButton(self)
        self._button.text = "..."
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line)
        row.addWidget(self._button)
        self._line.textChanged.connect(self.currentPathChanged)
        self._line.textChanged.connect(lambda text: self.validInputChanged.emit(os.path.exists(text)))
        self._button.clicked.connect(self.browse)

    def _read(self) -> str:
        return self._line.text

    def setCurrentPath(self, path: str) -> None:
        self._line.text = checked(str, "currentPath", path)

    def browse(self) -> None:
        path = dialogs.path("Select a file to save ")
        if path:
            self.setCurrentPath(path)

    def addCurrentPathToHistory(self) -> None:
        """History is not kept here."""

    currentPath = QtCore.Property(str, _read, setCurrentPath)
    filters = declared(int, "filters", 0)
    nameFilters = declared("QStringList", "nameFilters", [])
    settingKey = declared(str, "settingKey", "")
    label = declared(str, "label", "")
    showBrowseButton = declared(bool, "showBrowseButton", True)
    showHistoryButton = declared(bool, "showHistoryButton", True)


class ctkDirectoryButton(QtWidgets.QWidget):
    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._button = QtWidgets.QPushButton(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._button)
        self._button.clicked.connect(self.browse)

    def _changed(self) -> None:
        self._button.text = self.directory
        self.directoryChanged.emit(self.directory)

    directory = declared(str, "directory", "", _changed)
    caption = declared(str, "caption", "")
    text = declared(str, "text", "")

    def browse(self) -> None:
        path = dialogs.path(self.caption)
        if path:
            self.directory = path
            self.directorySelected.emit(path)
