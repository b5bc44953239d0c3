"""The subject hierarchy's housekeeping: an item for every node that a user sees, gone when its node goes.

In a real Slicer the Qt plugin logic of the SubjectHierarchy module does this. Different here: items have no owner
plugin, so no icons and no plugin-made context menus; and which classes get an item is the list below, not a plugin's
confidence.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

SHOWN = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLTransformNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLModelNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLSequenceNode",
    "vtkMRMLPlotChartNode",
)


class HierarchyKeeper:
    """Observes `scene` and keeps its subject hierarchy in step."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._added)
        scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, self._removed)
        scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, self._imported)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _added(self, scene: Any, event: str, node: Any) -> None:
        if not scene.IsImporting() and not scene.IsClosing():
            self._give_item(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _removed(self, scene: Any, event: str, node: Any) -> None:
        if scene.IsClosing() or not any(node.IsA(name) for name in SHOWN):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False)

    def _imported(self, scene: Any, event: str) -> None:
        for index in range(scene.GetNumberOfNodes()):
            self._give_item(scene.GetNthNode(index))

    def _give_item(self, node: Any) -> None:
        if node.GetHideFromEditors() or not any(node.IsA(name) for name in SHOWN):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
