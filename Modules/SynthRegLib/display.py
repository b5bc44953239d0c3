"""Show the moved over the fixed image in linked slice views; checkerboard; window and level. Without views nothing
happens."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

CHECKER_MM = 24.0
CHECKER_ATTRIBUTE = "SynthReg.Checkerboard"


def show_pair(behind: slicer.vtkMRMLVolumeNode, front: slicer.vtkMRMLVolumeNode, opacity: float) -> None:
    """Show both volumes in all slice views, linked; fit the views unless they show the same background already."""
    composites = _composites()
    there = all(composite.GetBackgroundVolumeID() == behind.GetID() for composite in composites)
    for composite in composites:
        composite.SetLinkedControl(True)
    slicer.util.setSliceViewerLayers(
        background=behind, foreground=front, label=None, foregroundOpacity=opacity, fit=not there
    )


def set_window(volume: slicer.vtkMRMLScalarVolumeNode | None, window: float, level: float) -> None:
    display = volume.GetDisplayNode() if volume is not None else None
    if display is not None:
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(window, level)


def set_foreground_opacity(opacity: float) -> None:
    """Set the opacity of the foreground in all slice views, 0 to 1."""
    for composite in _composites():
        composite.SetForegroundOpacity(opacity)


def checkerboard(
    moved: slicer.vtkMRMLScalarVolumeNode, spacing_mm: float = CHECKER_MM
) -> slicer.vtkMRMLScalarVolumeNode:
    """Return a hidden copy of `moved` without every other block, for display over the fixed image.

    Blocks are removed by values below the display's threshold, so that window, level and colours stay those of `moved`.
    """
    image = vtk.vtkImageData()
    image.DeepCopy(moved.GetImageData())
    array = image.GetPointData().GetScalars()
    low, high = array.GetRange()
    nothing = low - max(1.0, (high - low) * 0.01)
    shape = image.GetDimensions()
    blocks = [(np.arange(n) * spacing / spacing_mm).astype(int) for n, spacing in zip(shape, moved.GetSpacing())]
    i, j, k = (block % 2 for block in blocks)
    values = vtk_to_numpy(array).reshape(shape[::-1])
    plane = (j[:, None] + i) % 2 == 1
    for index, odd in enumerate(k):
        values[index][plane if odd else ~plane] = nothing
    array.Modified()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{moved.GetName()} (checkerboard)")
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetAttribute(CHECKER_ATTRIBUTE, moved.GetID())
    matrix = vtk.vtkMatrix4x4()
    moved.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    own, theirs = node.GetDisplayNode(), moved.GetDisplayNode()
    if own is not None and theirs is not None:
        own.SetSaveWithScene(False)
        set_window(node, theirs.GetWindow(), theirs.GetLevel())
        own.SetAndObserveColorNodeID(theirs.GetColorNodeID())
        own.SetAutoThreshold(False)
        own.SetThreshold(low, high)
        own.SetApplyThreshold(True)
    node.SetAndObserveImageData(image)
    node.SetAndObserveTransformNodeID(moved.GetTransformNodeID())
    return node


def remove_checkerboards() -> None:
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if node.GetAttribute(CHECKER_ATTRIBUTE):
            remove_volume(node)


def remove_volume(volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Remove a volume and its display node, which Slicer may remove with the volume."""
    display = volume.GetDisplayNode()
    slicer.mrmlScene.RemoveNode(volume)
    if display is not None and display.GetScene() is not None:
        slicer.mrmlScene.RemoveNode(display)


def _composites() -> list[slicer.vtkMRMLSliceCompositeNode]:
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
