"""Display of one example or one prediction in the slice views; other rows' segmentations are hidden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer

from SynthContextLib.pair_rows import Row
from SynthContextLib.prediction import Prediction


def show_row(row: Row, others: Iterable[Any]) -> None:
    """Show the image with its output over it."""
    only(row.answer, others)
    front = row.answer if row.answer is not None and row.answer.IsA("vtkMRMLScalarVolumeNode") else None
    labels = front if front is not None and front.IsA("vtkMRMLLabelMapVolumeNode") else None
    slicer.util.setSliceViewerLayers(
        background=row.image,
        foreground=None if labels is not None else front,
        label=labels,
        foregroundOpacity=0.5,
        labelOpacity=0.5,
        fit=True,
    )


def only(shown: Any, others: Iterable[Any]) -> None:
    """Hide the segmentations among `others`, except `shown`."""
    for node in [*others, shown]:
        if node is not None and node.IsA("vtkMRMLSegmentationNode") and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(node is shown)


def open_editor(answer: Prediction) -> None:
    """Open the Segment Editor with the predicted segmentation on the target."""
    if answer.labels.GetDisplayNode() is not None:
        answer.labels.GetDisplayNode().SetVisibility2DFill(True)
    tag = "SegmentEditor"  # by which the module finds its own node
    editor = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSegmentEditorNode")
    if editor is None:
        editor = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        editor.UnRegister(None)
        editor.SetSingletonTag(tag)
        editor = slicer.mrmlScene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(answer.labels)
    editor.SetAndObserveSourceVolumeNode(answer.target)
    slicer.util.selectModule("SegmentEditor")
