"""A mask to be drawn: a segmentation on an image's voxels, opened in the Segment Editor."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

_EDITOR = "SegmentEditor"
"""The module, and the tag of the node that says what it edits."""


def _new_mask(image: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """One empty segment that lies where the image lies."""
    name = _("Mask of {image}").format(image=image.GetName())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(image)
    node.SetAndObserveTransformNodeID(image.GetTransformNodeID())
    node.GetSegmentation().AddEmptySegment("mask", _("what counts"))
    return node


def edit(
    chosen: slicer.vtkMRMLDisplayableNode | None, image: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLSegmentationNode:
    """Open the Segment Editor on the mask that is chosen, where it is a segmentation, else on a new one; returns it."""
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
