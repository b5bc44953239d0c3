"""Add the result nodes of a registration to the scene."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SlicerSynthReg.request import Result
from SynthRegLib import results
from SynthRegLib.labels import numbering
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.report_text import figures, summary
from SynthRegLib.results import Added, Loaded, NodePlacement, Origin, add, add_scan, add_segmentation, add_volume, fill

FIGURES, SUMMARY = "SynthReg.Figures", "SynthReg.Summary"
"""Attributes of a moved image: what was measured (JSON, see summary.figures), and the same in words."""
COMPANIONS = ("forward", "inverse", "moved_labels")
"""Fields of Registered that the moved image refers to, each as the role SynthReg.NAME."""
Points = list
"""Of landmarks: label and RAS mm in the world."""


@dataclass(eq=False)
class RegisteredNodes:
    """Result nodes of one registration; None for outputs that were not requested. page: path of the HTML report."""

    moved: slicer.vtkMRMLScalarVolumeNode | None = None
    forward: slicer.vtkMRMLGridTransformNode | None = None
    inverse: slicer.vtkMRMLGridTransformNode | None = None
    jacobian: slicer.vtkMRMLScalarVolumeNode | None = None
    moved_labels: slicer.vtkMRMLDisplayableNode | None = None
    moved_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None = None
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""


def load_results(result: Result, wanted: tuple[str, ...]) -> tuple[Loaded, Points]:
    """Read the outputs `wanted`, among moved, forward, inverse, jacobian, moved_labels."""
    points = _landmarks(result.outputs["moved_landmarks"]) if "moved_landmarks" in result.outputs else []
    return results.load(result, wanted), points


def _landmarks(path: str) -> Points:
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))[1:]
    return [(row[0], (float(row[1]), float(row[2]), float(row[3]))) for row in rows]


def add_nodes(nodes: RegistrationNodes, found: tuple[Loaded, Points]) -> Generator[None, None, RegisteredNodes]:
    """Add all nodes to the scene; none of them stays after an error or a cancellation."""
    loaded, points = found
    makers = {name: partial(make, nodes, loaded) for name, make in _MAKERS.items() if name in loaded.arrays}
    if points:
        makers["moved_landmarks"] = partial(_moved_landmarks, nodes, points)
    sources = {"fixed": nodes.fixed, "moving": nodes.moving}
    origin = Origin(sources, nodes.moving, str(loaded.report.get("run", {}).get("model", "")), loaded.page)
    placed = yield from results.add_all(makers, origin)
    found = RegisteredNodes(report=loaded.report, warnings=loaded.warnings, page=loaded.page, **placed)
    _store_with_moved(found)
    return found


def _store_with_moved(found: RegisteredNodes) -> None:
    """Store measures and references to the other result nodes in the moved image, so that the scene file keeps them."""
    found.moved.SetAttribute(FIGURES, json.dumps(figures(found.report)))
    found.moved.SetAttribute(SUMMARY, summary(found.report, found.warnings))
    for role in COMPANIONS:
        node = getattr(found, role)
        if node is not None:
            found.moved.SetNodeReferenceID(f"SynthReg.{role}", node.GetID())


def _moved(nodes: RegistrationNodes, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("{moving} registered to {fixed}").format(moving=nodes.moving.GetName(), fixed=nodes.fixed.GetName())
    return add_scan(name, loaded.arrays["moved"], _on_fixed(nodes, loaded), added, like=nodes.moving)


def _jacobian(nodes: RegistrationNodes, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Jacobian of {moving}").format(moving=nodes.moving.GetName())
    return add_scan(name, loaded.arrays["jacobian"], _on_fixed(nodes, loaded), added, window=(2.0, 1.0))


def _moved_labels(nodes: RegistrationNodes, loaded: Loaded, added: Added) -> slicer.vtkMRMLDisplayableNode:
    name = _("{labels} registered to {fixed}").format(labels=nodes.moving_labels.GetName(), fixed=nodes.fixed.GetName())
    array, where = loaded.arrays["moved_labels"], _on_fixed(nodes, loaded)
    if nodes.moving_labels.IsA("vtkMRMLSegmentationNode"):
        numbers, source = numbering(nodes.fixed_labels, nodes.moving_labels), nodes.moving_labels.GetSegmentation()
        named = {source.GetNthSegmentID(n): source.GetNthSegment(n) for n in range(source.GetNumberOfSegments())}
        segments = {key: (numbers[segment.GetName()], segment) for key, segment in named.items()}
        return add_segmentation(name, array, where, added, segments, nodes.fixed)
    node = add_volume("vtkMRMLLabelMapVolumeNode", name, added)
    source = nodes.moving_labels.GetDisplayNode()
    if source is not None and source.GetColorNode() is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(source.GetColorNodeID())
    fill(node, array, where)
    return node


def _transform(name: str, source: str, target: str):
    """Return the transform node from `source` to `target`, under the target's parent."""

    def make(nodes: RegistrationNodes, loaded: Loaded, added: Added) -> slicer.vtkMRMLGridTransformNode:
        from_, to = getattr(nodes, source), getattr(nodes, target)
        node = add(
            "vtkMRMLGridTransformNode",
            _("{source} to {target}").format(source=from_.GetName(), target=to.GetName()),
            added,
        )
        node.SetAndObserveTransformFromParent(grid_transform(loaded.report["placement"][name], loaded.arrays[name]))
        node.SetAndObserveTransformNodeID(to.GetTransformNodeID())
        node.SetNodeReferenceID(slicer.vtkMRMLTransformNode.GetFixedNodeReferenceRole(), to.GetID())
        node.SetNodeReferenceID(slicer.vtkMRMLTransformNode.GetMovingNodeReferenceRole(), from_.GetID())
        return node

    return make


def grid_transform(lattice: Mapping[str, Any], displacements: vtk.vtkDataArray) -> slicer.vtkOrientedGridTransform:
    """Return a grid transform. lattice: shape and affine. displacements: RAS mm at each of its points."""
    affine = np.array(lattice["affine"])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = vtk.vtkImageData()
    image.SetDimensions(*lattice["shape"])
    image.SetOrigin(*affine[:3, 3])
    image.SetSpacing(*spacing)
    image.GetPointData().SetScalars(displacements)
    directions = np.eye(4)
    directions[:3, :3] = affine[:3, :3] / spacing
    grid = slicer.vtkOrientedGridTransform()
    grid.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(directions))
    grid.SetDisplacementGridData(image)
    return grid


def _moved_landmarks(nodes: RegistrationNodes, points: Points, added: Added) -> slicer.vtkMRMLMarkupsFiducialNode:
    name = _("{landmarks} registered to {fixed}").format(
        landmarks=nodes.moving_landmarks.GetName(), fixed=nodes.fixed.GetName()
    )
    node = add("vtkMRMLMarkupsFiducialNode", name, added)
    node.CreateDefaultDisplayNodes()
    source = nodes.moving_landmarks.GetDisplayNode()
    if source is not None and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetVisibility(source.GetVisibility())
    for label, position in points:
        node.AddControlPoint(vtk.vtkVector3d(*position), label)
    return node


_MAKERS = {
    "moved": _moved,
    "forward": _transform("forward", "moving", "fixed"),
    "inverse": _transform("inverse", "fixed", "moving"),
    "jacobian": _jacobian,
    "moved_labels": _moved_labels,
}


def _on_fixed(nodes: RegistrationNodes, loaded: Loaded) -> NodePlacement:
    """Return the placement of images on the fixed grid: under the fixed volume's parent, or in the world if that is
    non-linear."""
    return results.node_placement(loaded, "fixed", nodes.fixed)
