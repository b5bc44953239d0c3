"""`qMRMLNodeComboBox` and its checkable kin, with the behaviour of the real one, faults included.

Kept on purpose, because panels trip over it: the signal follows the *text* of the current row, so going from one node
to another of the same name is silent, and renaming the current node is not; deleting the current node selects its
neighbour; without `noneEnabled` the first node that appears is selected by itself; `addEnabled` and `removeEnabled` are
on unless the panel turns them off; the widget is disabled until it has a scene.
Different from a real Slicer: the rows of "Create new ..." act when activated by `activate_extra`, not by a mouse click.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from slicerhost.declare import declared

_ID = QtCore.Qt.UserRole
_EXTRA = QtCore.Qt.UserRole + 1


class qMRMLNodeComboBox(QtWidgets.QWidget):
    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)

    SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_node_is_there",
        "currentNodeIDChanged(QString)": "currentNodeIDChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
    }

    _node_is_there = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[tuple[Any, int]] = []
        self._attributes: list[tuple[str, str, Any]] = []
        self._base_names: dict[str, str] = {}
        self._wanted: str | None = None
        self._batch = False
        self._box = QtWidgets.QComboBox(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.currentTextChanged.connect(self._text_changed)
        self._box.activated.connect(self._activated)
        self.enabled = False
        tags = self._tags
        self.destroyed.connect(lambda: _forget(tags))

    # the rows: None, the nodes, the actions
    def _rebuild(self) -> None:
        current = self.currentNodeID
        self._box.blockSignals(True)
        self._box.clear()
        if self.noneEnabled:
            self._add_row(self.noneDisplay, "")
        for node in self._accepted_nodes():
            self._add_row(node.GetName() or "", node.GetID())
        for text in self._actions():
            self._add_row(text, "", extra=text)
        self._box.currentIndex = self._row_of(current)
        self._box.blockSignals(False)

    def _add_row(self, text: str, node_id: str, extra: str = "") -> None:
        self._insert_row(self._box.count, text, node_id, extra)

    def _insert_row(self, row: int, text: str, node_id: str, extra: str = "") -> None:
        self._box.insertItem(row, text)
        self._box.setItemData(row, node_id, _ID)
        self._box.setItemData(row, extra, _EXTRA)

    def _actions(self) -> list[str]:
        if self._scene is None:
            return []
        label = self.nodeTypeLabel(self.nodeTypes[0]) if len(self.nodeTypes) == 1 else "node"
        actions = [f"Rename current {label}"] * self.renameEnabled + [f"Edit current {label}"] * self.editEnabled
        actions += [f"Create new {self.nodeTypeLabel(kind)}" for kind in self.nodeTypes] * self.addEnabled
        return actions + [f"Delete current {label}"] * self.removeEnabled

    def _row_of(self, node_id: str) -> int:
        row = self._box.findData(node_id, _ID) if node_id else -1
        return row if row >= 0 else (0 if self.noneEnabled else -1)

    # which nodes
    def _accepted_nodes(self) -> list[Any]:
        scene = self._scene
        every = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())] if scene is not None else []
        return [node for node in every if self._accepts(node)]

    def _accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        kinds = [kind for kind in self.nodeTypes if node.IsA(kind)]
        exact = [kind for kind in self.nodeTypes if node.GetClassName() == kind]
        if not (kinds if self.showChildNodeTypes else exact):
            return False
        if any(node.IsA(kind) for kind in self.hideChildNodeTypes):
            return False
        return all(
            node.GetAttribute(name) is not None and (value is None or node.GetAttribute(name) == str(value))
            for kind, name, value in self._attributes
            if node.IsA(kind)
        )

    def addAttribute(self, nodeType: str, attributeName: str, attributeValue: Any = None) -> None:
        self._attributes.append((nodeType, attributeName, attributeValue))
        self._rebuild()

    def removeAttribute(self, nodeType: str, attributeName: str) -> None:
        self._attributes = [one for one in self._attributes if one[:2] != (nodeType, attributeName)]
        self._rebuild()

    # the scene
    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        _forget(self._tags)
        self._scene = scene
        if scene is not None:
            event = slicer.vtkMRMLScene
            for number, call in (
                (event.NodeAddedEvent, self._node_added),
                (event.NodeAboutToBeRemovedEvent, self._node_about_to_be_removed),
                (event.StartBatchProcessEvent, self._batch_started),
                (event.EndBatchProcessEvent, self._batch_ended),
            ):
                self._tags.append((scene, scene.AddObserver(number, call)))
            for node in self._accepted_nodes():
                self._watch(node)
        self._rebuild()
        nodes = self._accepted_nodes()
        first = nodes[0].GetID() if nodes and not self.noneEnabled else ""
        self.setCurrentNodeID(self._wanted or first)
        self.enabled = scene is not None

    def _watch(self, node: Any) -> None:
        self._tags.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._node_modified)))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, scene: Any, event: str, node: Any) -> None:
        if self._batch or not self._accepts(node):
            return
        self._watch(node)
        nodes = [one.GetID() for one in self._accepted_nodes()]
        self._insert_row(nodes.index(node.GetID()) + int(self.noneEnabled), node.GetName() or "", node.GetID())
        self.nodeAdded.emit(node)
        if self.currentNode() is None and not self.noneEnabled:
            self.setCurrentNode(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_about_to_be_removed(self, scene: Any, event: str, node: Any) -> None:
        row = self._box.findData(node.GetID(), _ID)
        if self._batch or row < 0:
            return
        self.nodeAboutToBeRemoved.emit(node)
        was_current = row == self._box.currentIndex
        if was_current:  # Qt goes to the row that moves up; a row that is no node gives way to the last node
            rows = [one for one in range(self._box.count) if self._box.itemData(one, _ID) and one != row]
            after = [one for one in rows if one > row]
            self._box.currentIndex = after[0] if after else (rows[-1] if rows else (0 if self.noneEnabled else -1))
        self._box.removeItem(row)

    def _node_modified(self, node: Any, event: str) -> None:
        row = self._box.findData(node.GetID(), _ID)
        if row >= 0 and self._box.itemText(row) != (node.GetName() or ""):
            self._box.setItemText(row, node.GetName() or "")
        elif (row >= 0) != self._accepts(node) and self._scene is not None and not self._batch:
            self._rebuild()

    def _batch_started(self, scene: Any, event: str) -> None:
        self._batch = True

    def _batch_ended(self, scene: Any, event: str) -> None:
        self._batch = False
        for node in self._accepted_nodes():
            self._watch(node)
        before = self._box.currentText
        self._rebuild()
        if self._box.currentText != before:
            self._text_changed(self._box.currentText)

    # the current node
    def _text_changed(self, text: str) -> None:
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self._node_is_there.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _activated(self, row: int) -> None:
        if not self._box.itemData(row, _EXTRA):
            self.nodeActivated.emit(self.currentNode())

    def currentNode(self) -> Any:
        node_id = self._box.itemData(self._box.currentIndex, _ID) if self._box.currentIndex >= 0 else None
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        if self._scene is None:
            self._wanted = node_id
        else:
            self._wanted = None
            self._box.currentIndex = self._row_of(node_id or "")

    def setCurrentNodeIndex(self, index: int) -> None:
        index = index if index < self.nodeCount() else -1
        self._box.currentIndex = index + int(self.noneEnabled)

    def _read_id(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    def nodeCount(self) -> int:
        return sum(bool(self._box.itemData(row, _ID)) for row in range(self._box.count))

    def nodeFromIndex(self, index: int) -> Any:
        node_id = self._box.itemData(index + int(self.noneEnabled), _ID)
        return self._scene.GetNodeByID(node_id) if node_id else None

    def nodeTypeLabel(self, kind: str) -> str:
        return (self._scene.GetTypeDisplayNameByClassName(kind) if self._scene is not None else "") or "node"

    def addNode(self, kind: str | None = None) -> Any:
        kind = kind or self.nodeTypes[0]
        name = self._base_names.get(kind) or self.nodeTypeLabel(kind)
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(name))
        for of_kind, attribute, value in self._attributes:
            if node.IsA(of_kind):
                node.SetAttribute(attribute, str(value or ""))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    def setBaseName(self, name: str, kind: str = "") -> None:
        self._base_names.update(dict.fromkeys([kind] if kind else self.nodeTypes, name))

    def activate_extra(self, text: str) -> None:
        """The host's own: the user picks the action row that starts with `text`."""
        if not any(action.startswith(text) for action in self._actions()):
            raise LookupError(f"Found {self._actions()}, expected one that starts with {text!r}")
        if text.startswith("Create"):
            self.addNode(next(kind for kind in self.nodeTypes if f"Create new {self.nodeTypeLabel(kind)}" == text))
        elif text.startswith("Delete"):
            self.removeCurrentNode()

    currentNodeID = QtCore.Property(str, _read_id, setCurrentNodeID)
    nodeTypes = declared("QStringList", "nodeTypes", [], _rebuild)
    hideChildNodeTypes = declared("QStringList", "hideChildNodeTypes", [], _rebuild)
    showChildNodeTypes = declared(bool, "showChildNodeTypes", True, _rebuild)
    showHidden = declared(bool, "showHidden", False, _rebuild)
    noneEnabled = declared(bool, "noneEnabled", False, _rebuild)
    noneDisplay = declared(str, "noneDisplay", "None", _rebuild)
    addEnabled = declared(bool, "addEnabled", True, _rebuild)
    removeEnabled = declared(bool, "removeEnabled", True, _rebuild)
    editEnabled = declared(bool, "editEnabled", False, _rebuild)
    renameEnabled = declared(bool, "renameEnabled", False, _rebuild)
    selectNodeUponCreation = declared(bool, "selectNodeUponCreation", True)
    interactionNodeSingletonTag = declared(str, "interactionNodeSingletonTag", "Singleton")
    baseName = QtCore.Property(str, lambda self: next(iter(self._base_names.values()), ""), setBaseName)


def _forget(tags: list[tuple[Any, int]]) -> None:
    """Remove these observers, when the scene changes and when the widget is gone."""
    for thing, tag in tags:
        thing.RemoveObserver(tag)
    tags.clear()
