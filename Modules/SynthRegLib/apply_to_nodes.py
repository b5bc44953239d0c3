"""Apply the transform of a result to further nodes in the moving image's space: volumes, segmentations, markups,
models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import qt
import slicer

_KINDS = (
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLModelNode",
)
_ROW, _MOST_ROWS = 18, 6
"""Height of a row in pixels; largest number of visible rows."""
_RESULT = "SynthReg.fixed"
"""Attribute of what a registration made, which lies there already."""


class ApplyToNodes:
    """List of nodes: a checked node is placed under the transform, an unchecked one under the moving image's parent.
    Nothing is resampled. ui: has transformedNodesList (QListWidget) and transformedNodesLabel."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._transform: slicer.vtkMRMLTransformNode | None = None
        self._home: str | None = None
        self._stays: set[str] = set()
        self._filling = False
        ui.transformedNodesList.connect("itemChanged(QListWidgetItem*)", self._on_changed)
        self.forget()

    def offer(
        self,
        transform: slicer.vtkMRMLTransformNode | None,
        moving: slicer.vtkMRMLScalarVolumeNode | None,
        stays: Iterable[slicer.vtkMRMLNode],
    ) -> None:
        """List the nodes in the space of `moving`. transform: moving to fixed; None empties the list. stays: nodes that
        are not listed, such as the fixed image."""
        self._transform = None if moving is None else transform
        self._home = None if moving is None else moving.GetTransformNodeID()
        self._stays = {node.GetID() for node in stays if node is not None}
        self.refresh()

    def forget(self) -> None:
        self._transform = None
        self.refresh()

    def refresh(self, running: bool = False) -> None:
        """Update the list to the nodes of the scene. running: disables it."""
        nodes = self._nodes()
        self._filling = True
        self._ui.transformedNodesList.clear()
        for node in nodes:
            item = qt.QListWidgetItem(node.GetName())
            item.setData(qt.Qt.UserRole, node.GetID())
            item.setCheckState(qt.Qt.Checked if self._is_along(node) else qt.Qt.Unchecked)
            self._ui.transformedNodesList.addItem(item)
        self._filling = False
        self._ui.transformedNodesList.setFixedHeight(_ROW * min(len(nodes), _MOST_ROWS) + 8)
        self._ui.transformedNodesList.enabled = not running
        for widget in (self._ui.transformedNodesLabel, self._ui.transformedNodesList):
            widget.setVisible(bool(nodes))

    def _nodes(self) -> list[slicer.vtkMRMLDisplayableNode]:
        if self._transform is None or not slicer.mrmlScene.IsNodePresent(self._transform):
            return []
        every = {node.GetID(): node for kind in _KINDS for node in slicer.util.getNodesByClass(kind)}
        return [
            node
            for key, node in every.items()
            if key not in self._stays
            and not node.GetAttribute(_RESULT)
            and not node.GetHideFromEditors()
            and (self._is_along(node) or node.GetTransformNodeID() == self._home)
        ]

    def _is_along(self, node: slicer.vtkMRMLDisplayableNode) -> bool:
        return node.GetTransformNodeID() == self._transform.GetID()

    def _on_changed(self, item: Any) -> None:
        node = None if self._filling else slicer.mrmlScene.GetNodeByID(item.data(qt.Qt.UserRole))
        if node is not None:
            along = item.checkState() == qt.Qt.Checked
            node.SetAndObserveTransformNodeID(self._transform.GetID() if along else self._home)
