"""Add the result nodes of a reconstruction to the scene."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib import results
from SynthRegLib.results import Added, Loaded, Origin, add_scan, add_segmentation, new_segment, node_placement

WANTED = ("healthy", "anomaly", "segmentation", "mirrored", "confidence", "difference")
SEGMENT = "anomaly"
_COLOR = (0.90, 0.25, 0.15)
_TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list"
    "~SCT^49755003^Morphologically Altered Structure~SCT^52988006^Lesion~^^"
    "~Anatomic codes - DICOM master list~SCT^12738006^Brain~^^"
)
_MIN_SHOWN = 0.1
"""Anomaly map: less is not shown."""


@dataclass(eq=False)
class HealthyNodes:
    """Nodes of one reconstruction. mirrored: contralateral side, None without mirroring. page: path of the HTML
    report."""

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


def add_nodes(image: slicer.vtkMRMLScalarVolumeNode, loaded: Loaded) -> Generator[None, None, HealthyNodes]:
    """Add all nodes to the scene; none of them stays after an error or a cancellation."""
    makers = {name: partial(make, image, loaded) for name, make in _MAKERS.items() if name in loaded.arrays}
    origin = Origin({"image": image}, image, str(loaded.report["run"]["model"]), loaded.page)
    placed = yield from results.add_all(makers, origin)
    return HealthyNodes(image, report=loaded.report, warnings=loaded.warnings, page=loaded.page, **placed)


def _healthy(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Healthy T1 of {image}").format(image=image.GetName())
    return add_scan(
        name, loaded.arrays["healthy"], node_placement(loaded, "healthy", image), added, window=(0.95, 0.475)
    )


def _anomaly(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Anomaly map of {image}").format(image=image.GetName())
    node = _in_colours(name, "anomaly", slicer.vtkMRMLColorTableNode.Iron, image, loaded, added)
    display = node.GetDisplayNode()
    if display is not None:
        display.SetAutoThreshold(False)
        display.SetThreshold(_MIN_SHOWN, 1.0)
        display.SetApplyThreshold(True)
    return node


def _confidence(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Confidence in the healthy T1 of {image}").format(image=image.GetName())
    return _in_colours(name, "confidence", slicer.vtkMRMLColorTableNode.Ocean, image, loaded, added)


def _difference(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Difference of {image} from the healthy T1").format(image=image.GetName())
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
    """Add a map from 0 to 1. color: type of a colour table of Slicer."""
    node = add_scan(name, loaded.arrays[output], node_placement(loaded, output, image), added, window=window)
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(slicer.vtkMRMLColorLogic.GetColorTableNodeID(color))
    return node


def _mirrored(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Contralateral side of {image}").format(image=image.GetName())
    return add_scan(name, loaded.arrays["mirrored"], node_placement(loaded, "mirrored", image), added, like=image)


def _segmentation(image: Any, loaded: Loaded, added: Added) -> slicer.vtkMRMLSegmentationNode:
    name = _("Anomalies of {image}").format(image=image.GetName())
    segment = new_segment(_("Anomaly (not verified)"), _COLOR, _TERMINOLOGY)
    where = node_placement(loaded, "segmentation", image)
    return add_segmentation(name, loaded.arrays["segmentation"], where, added, {SEGMENT: (1, segment)}, image)


_MAKERS = {
    "healthy": _healthy,
    "anomaly": _anomaly,
    "segmentation": _segmentation,
    "mirrored": _mirrored,
    "confidence": _confidence,
    "difference": _difference,
}
