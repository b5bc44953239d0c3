"""What the three views show: one example, or one target with its answer; other rows' segmentations are hidden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer

from SynthContextLib.answers import Answer
from SynthContextLib.rows import Row


def show_row(row: Row, others: Iterable[Any]) -> None:
    """The image behind; what it shows over it, or half in front of it."""
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
    """Of the segmentations among `others`, hide all but `shown`."""
    for node in [*others, shown]:
        if node is not None and node.IsA("vtkMRMLSegmentationNode") and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(node is shown)


def open_editor(answer: Answer) -> None:
    """Segment Editor on the answer's segmentation, filled again, over the target."""
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
