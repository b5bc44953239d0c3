"""The nodes of a reconstruction, from what the worker made."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib import results
from SynthRegLib.results import Added, Loaded, Origin, add_scan, add_segmentation, new_segment, place_of

WANTED = ("healthy", "anomaly", "segmentation", "mirrored", "confidence", "difference")
SEGMENT = "anomaly"
_COLOR = (0.90, 0.25, 0.15)
_TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list"
    "~SCT^49755003^Morphologically Altered Structure~SCT^52988006^Lesion~^^"
    "~Anatomic codes - DICOM master list~SCT^12738006^Brain~^^"
)
_SHOWN_FROM = 0.1
"""Anomaly map: less is not shown."""


@dataclass(eq=False)
class Made:
    """The nodes of one reconstruction; mirrored: the scan's other side, None where it was not brought over. page: the
    HTML report's path."""

    image: slicer.vtkMRMLScalarVolumeNode
    healthy: slicer.vtkMRMLScalarVolumeNode
    anomaly: slicer.vtkMRMLScalarVolumeNode
    segmentation: slicer.vtkMRMLSegmentationNode
    confidence: slicer.vtkMRMLScalarVolumeNode
    difference: slicer.vtkMRMLScalarVolumeNode
    mirrored: slicer.vtkMRMLScalarVolumeNode | None = None
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""

    def nodes(self) -> list[slicer.vtkMRMLNode]:
        every = (self.image, *(getattr(self, name) for name in WANTED))
        return [node for node in every if node is not None]


def place(image: slicer.vtkMRMLScalarVolumeNode, loaded: Loaded) -> Generator[None, None, Made]:
    """Add the nodes to the scene; when it ends early, by an error or closed, none of them stays."""
    makers = {name: partial(make, image, loaded) for name, make in _MAKERS.items() if name in loaded.arrays}
    origin = Origin({"image": image}, image, str(loaded.report.get("model", "")), loaded.page)
    placed = yield from results.place_all(makers, origin)
    return Made(image, report=loaded.report, warnings=loaded.warnings, page=loaded.page, **placed)


def _healthy(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Healthy T1 behind {image}").format(image=image.GetName())
    return add_scan(name, loaded.arrays["healthy"], place_of(loaded, "healthy", image), added, window=(0.95, 0.475))


def _anomaly(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Anomaly map of {image}").format(image=image.GetName())
    node = _in_colours(name, "anomaly", slicer.vtkMRMLColorTableNode.Iron, image, loaded, added)
    display = node.GetDisplayNode()
    if display is not None:
        display.SetAutoThreshold(False)
        display.SetThreshold(_SHOWN_FROM, 1.0)
        display.SetApplyThreshold(True)
    return node


def _confidence(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Confidence in the healthy T1 of {image}").format(image=image.GetName())
    return _in_colours(name, "confidence", slicer.vtkMRMLColorTableNode.Ocean, image, loaded, added)


def _difference(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Difference of {image} from health").format(image=image.GetName())
    iron = slicer.vtkMRMLColorTableNode.Iron
    return _in_colours(name, "difference", iron, image, loaded, added, window=(3.0, 1.5))


def _in_colours(
    name: str,
    output: str,
    color: int,
    image: Any,
    loaded: Loaded,
    added: Added,
    window: tuple[float, float] = (1.0, 0.5),
) -> slicer.vtkMRMLScalarVolumeNode:
    """A map, from 0 to 1 as the window says. color: type of a table that Slicer has."""
    node = add_scan(name, loaded.arrays[output], place_of(loaded, output, image), added, window=window)
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(slicer.vtkMRMLColorLogic.GetColorTableNodeID(color))
    return node


def _mirrored(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Other side of {image}").format(image=image.GetName())
    return add_scan(name, loaded.arrays["mirrored"], place_of(loaded, "mirrored", image), added, like=image)


def _segmentation(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLSegmentationNode:
    name = _("Anomalies of {image}").format(image=image.GetName())
    segment = new_segment(_("Anomaly (not verified)"), _COLOR, _TERMINOLOGY)
    where = place_of(loaded, "segmentation", image)
    return add_segmentation(name, loaded.arrays["segmentation"], where, added, {SEGMENT: (1, segment)}, image)


_MAKERS = {
    "healthy": _healthy,
    "anomaly": _anomaly,
    "segmentation": _segmentation,
    "mirrored": _mirrored,
    "confidence": _confidence,
    "difference": _difference,
}
