"""Stand-ins of ctk's buttons and boxes: the properties and signals of the real ones, a plain look.

Their pictures tell what is shown, enabled and written, not how many pixels it takes in a real Slicer.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from slicerhost.declare import declared

_WANTED = "visibilityToParent"
"""ctk's name for what the module asked of a child."""


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, text: object = "", parent: QtWidgets.QWidget | None = None) -> None:
        if isinstance(text, QtWidgets.QWidget):
            text, parent = "", text
        super().__init__(parent)
        self.text = text or ""
        self.setContentsMargins(0, self._header(), 0, 0)
        self.clicked.connect(self._toggle)

    def _header(self) -> int:
        return self.fontMetrics().height() + 8

    def _toggle(self) -> None:
        self.collapsed = not self.collapsed

    _folding = False

    def _fold(self) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._let(child, not self.collapsed and child.property(_WANTED) is not False)
        self.setMaximumHeight(self._header() if self.collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(self.collapsed)

    collapsed = declared(bool, "collapsed", False, _fold)
    collapsedHeight = declared(int, "collapsedHeight", 10)
    flat = declared(bool, "flat", False)

    def _let(self, child: QtWidgets.QWidget, visible: bool) -> None:
        """Be seen or not, without taking it for the module's wish."""
        self._folding = True
        child.setVisible(visible)
        child.setAttribute(QtCore.Qt.WA_WState_ExplicitShowHide, child.property(_WANTED) is False)
        self._folding = False

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        if event.added() and isinstance(event.child(), QtWidgets.QWidget):
            event.child().installEventFilter(self)
            if self.collapsed:
                self._let(event.child(), False)

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """A child that the module hides stays hidden when the button is opened, as in ctk."""
        if event.type() in (QtCore.QEvent.ShowToParent, QtCore.QEvent.HideToParent) and not self._folding:
            child.setProperty(_WANTED, event.type() == QtCore.QEvent.ShowToParent)
            if self.collapsed and event.type() == QtCore.QEvent.ShowToParent:
                self._fold()
        return False

    def sizeHint(self) -> QtCore.QSize:
        if self.layout() is None or self.collapsed:
            return QtCore.QSize(120, self._header())
        return self.layout().totalSizeHint()

    def minimumSizeHint(self) -> QtCore.QSize:
        if self.layout() is None or self.collapsed:
            return QtCore.QSize(60, self._header())
        return self.layout().totalMinimumSize()

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._header()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        bar = QtCore.QRect(0, 0, self.width, self._header())
        painter.fillRect(bar, self.palette.color(QtGui.QPalette.Button).darker(108))
        group = QtGui.QPalette.Active if self.enabled else QtGui.QPalette.Disabled
        painter.setPen(self.palette.color(group, QtGui.QPalette.ButtonText))
        arrow = "▸" if self.collapsed else "▾"
        painter.drawText(bar.adjusted(6, 0, 0, 0), QtCore.Qt.AlignVCenter, f"{arrow} {self.text.replace('&&', '&')}")


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    def __init__(self, title: object = "", parent: QtWidgets.QWidget | None = None) -> None:
        if isinstance(title, QtWidgets.QWidget):
            title, parent = "", title
        super().__init__(title or "", parent)
        self.checkable = True
        self.checked = True
        self.toggled.connect(self._fold)

    def _fold(self, opened: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(opened)

    def _is_collapsed(self) -> bool:
        return not self.checked

    def _collapse(self, collapsed: bool) -> None:
        self.checked = not collapsed

    collapsed = QtCore.Property(bool, _is_collapsed, _collapse)
    collapsedHeight = declared(int, "collapsedHeight", 10)


class ctkPushButton(QtWidgets.QPushButton):
    elideMode = declared(int, "elideMode", 0)


class ctkMenuButton(QtWidgets.QPushButton):
    pass


class ctkCheckBox(QtWidgets.QCheckBox):
    pass


class ctkMessageBox(QtWidgets.QMessageBox):
    dontShowAgainSettingsKey = declared(str, "dontShowAgainSettingsKey", "")
    dontShowAgainVisible = declared(bool, "dontShowAgainVisible", False)
    dontShowAgain = declared(bool, "dontShowAgain", False)


class ctkComboBox(QtWidgets.QComboBox):
    def _update(self) -> None:
        self.placeholderText = self.defaultText

    defaultText = declared(str, "defaultText", "", _update)
    forceDefault = declared(bool, "forceDefault", False)

    def _read_data(self) -> str:
        return str(self.currentData() or "")

    def setCurrentUserDataAsString(self, data: str) -> None:
        self.currentIndex = self.findData(data)

    currentUserDataAsString = QtCore.Property(str, _read_data, setCurrentUserDataAsString)


class ctkExpandableWidget(QtWidgets.QFrame):
    pass


class ctkDynamicSpacer(QtWidgets.QWidget):
    active = declared(bool, "active", False)


class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    collapsed = declared(bool, "collapsed", False)
    showDetailsText = declared(str, "showDetailsText", "Show details...")
    hideDetailsText = declared(str, "hideDetailsText", "Hide details.")

    def setCollapsibleText(self, text: str) -> None:
        self.setHtml(text)
