"""Drag and drop onto a table: nodes from Slicer's trees, folders from the file manager."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable

import qt
import slicer

_ITEM = re.compile(r"mrml://scene/subjecthierarchy/item\?id=(\d+)")
"""How the trees of the subject hierarchy name what is dragged."""


class DropFilter(qt.QObject):
    """dropped: called with the nodes, the folders, and the x position in `widget`."""

    def __init__(self, widget: Any, dropped: Callable[[list[Any], list[Path], int], None]) -> None:
        qt.QObject.__init__(self)
        self._widget = widget
        self._dropped = dropped
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def stop(self) -> None:
        self._widget.removeEventFilter(self)

    def eventFilter(self, widget: Any, event: Any) -> bool:
        if event.type() not in (qt.QEvent.DragEnter, qt.QEvent.DragMove, qt.QEvent.Drop):
            return False
        nodes, folders = dragged([url.toString() for url in event.mimeData().urls()])
        if not nodes and not folders:
            return False
        event.acceptProposedAction()
        if event.type() == qt.QEvent.Drop:
            self._dropped(nodes, folders, event.pos().x())
        return True


def dragged(urls: list[str]) -> tuple[list[Any], list[Path]]:
    """Return the nodes of the items, including those below folders and patients, and the folders on disk."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    nodes: list[Any] = []
    folders = []
    for url in urls:
        found = _ITEM.fullmatch(url)
        if found and hierarchy is not None:
            nodes += _below(hierarchy, int(found[1]))
        elif url.startswith("file:"):
            path = Path(qt.QUrl(url).toLocalFile())
            folders += [path] if path.is_dir() else []
    return list(dict.fromkeys(nodes)), folders


def _below(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, item: int) -> list[Any]:
    import vtk

    own = hierarchy.GetItemDataNode(item)
    if own is not None:
        return [own]
    children = vtk.vtkIdList()
    hierarchy.GetItemChildren(item, children, False)
    return [node for n in range(children.GetNumberOfIds()) for node in _below(hierarchy, children.GetId(n))]
