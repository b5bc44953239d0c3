"""Names and numbers of the labels of a set of examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from SynthRegLib.results import new_segment

from SlicerSynthReg.io.example_pairs import LabelName

_MODES = 2_000_000
_COLOURS = ((0.9, 0.5, 0.1), (0.2, 0.7, 0.3), (0.2, 0.5, 0.9), (0.8, 0.3, 0.7), (0.9, 0.8, 0.2), (0.2, 0.8, 0.8))


@dataclass(frozen=True)
class LabelNames:
    """numbers: segment name -> label. names: label -> name."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[int, LabelName] = field(default_factory=dict)

    def segment(self, label: int) -> slicer.vtkSegment:
        """Return a new segment with name, colour and terminology of `label`."""
        known = self.names.get(label) or unnamed(label)
        return new_segment(known.name, known.color, known.terminology)

    def name(self, label: int | str) -> str:
        return (self.names.get(int(label)) or unnamed(int(label))).name


def unnamed(label: int) -> LabelName:
    return LabelName(_("Label {number}").format(number=label), _COLOURS[(label - 1) % len(_COLOURS)])


def label_names_of(answers: Iterable[Any]) -> LabelNames:
    """Return the names and numbers of segmentations and label maps together: label maps keep their values, and segments
    with the name of a label get its number."""
    answers = list(answers)
    maps = [one for one in answers if one.IsA("vtkMRMLLabelMapVolumeNode")]
    names: dict[int, LabelName] = {}
    for one in maps:
        for value, named in _named_values(one).items():
            names.setdefault(value, named)
    by_name = {named.name: value for value, named in names.items()}
    following = int(max((one.GetImageData().GetScalarRange()[1] for one in maps if one.GetImageData()), default=0)) + 1
    numbers: dict[str, int] = {}
    for node in answers:
        for segment in _segments(node):
            name = segment.GetName()
            if name in numbers:
                continue
            numbers[name] = by_name.get(name, following)
            following += name not in by_name
            names[numbers[name]] = LabelName(name, tuple(segment.GetColor()), _terminology(segment))
    return LabelNames(numbers, names)


def _segments(node: slicer.vtkMRMLNode) -> list[slicer.vtkSegment]:
    if not node.IsA("vtkMRMLSegmentationNode"):
        return []
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]


def _terminology(segment: slicer.vtkSegment) -> str:
    entry = vtk.reference("")
    return str(entry) if segment.GetTag(segment.GetTerminologyEntryTagName(), entry) else ""


def _named_values(labels: slicer.vtkMRMLLabelMapVolumeNode) -> dict[int, LabelName]:
    """Return the values that occur and their names in the colour table."""
    display = labels.GetDisplayNode()
    table = display.GetColorNode() if display is not None else None
    named = {}
    for value in _seen_values(labels):
        name, rgba = "", [0.0, 0.0, 0.0, 1.0]
        if table is not None and value < table.GetNumberOfColors() and table.GetColor(value, rgba):
            name = table.GetColorName(value) or ""
        named[value] = LabelName(name, (rgba[0], rgba[1], rgba[2])) if name else unnamed(value)
    return named


def _seen_values(labels: slicer.vtkMRMLLabelMapVolumeNode) -> list[int]:
    """Return the values of at most _MODES voxels."""
    if labels.GetImageData() is None:
        return []
    values = slicer.util.arrayFromVolume(labels)
    step = max(1, round((values.size / _MODES) ** (1 / 3)))
    return [int(value) for value in np.unique(values[::step, ::step, ::step]) if value > 0]
