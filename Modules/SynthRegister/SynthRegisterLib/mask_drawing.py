"""Create a mask on an image's voxels and open it in the Segment Editor."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

_EDITOR = "SegmentEditor"
"""The module, and the tag of the node that says what it edits."""


def _new_mask(image: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """Return a segmentation with one empty segment in the image's space."""
    name = _("Mask of {image}").format(image=image.GetName())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(image)
    node.SetAndObserveTransformNodeID(image.GetTransformNodeID())
    node.GetSegmentation().AddEmptySegment("mask", _("mask"))
    return node


def edit_mask(
    chosen: slicer.vtkMRMLDisplayableNode | None, image: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLSegmentationNode:
    """Open the Segment Editor with the given segmentation, or with a new one; return it."""
    mask = chosen if chosen is not None and chosen.IsA("vtkMRMLSegmentationNode") else _new_mask(image)
    editor = slicer.mrmlScene.GetSingletonNode(_EDITOR, "vtkMRMLSegmentEditorNode")
    if editor is None:
        editor = slicer.vtkMRMLSegmentEditorNode()
        editor.SetSingletonTag(_EDITOR)
        editor = slicer.mrmlScene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(mask)
    editor.SetAndObserveSourceVolumeNode(image)
    slicer.util.selectModule(_EDITOR)
    return mask
