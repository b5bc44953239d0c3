"""From the worker's files to nodes in the scene: all of them, or none.

Reading runs off the GUI thread and touches no MRML; placing runs on it, node by node, and takes back what it placed
when it is stopped.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from SlicerSynthReg.request import Result
from SynthRegLib.inputs import RegistrationNodes
from SynthRegLib.labels import numbering

DERIVED = "synthetic/derived, not for diagnosis"
_PIECE = 1 << 18
_ROLES = ("fixed", "moving")


@dataclass(frozen=True, eq=False)
class Loaded:
    """arrays: name -> VTK array of one value a voxel (displacements: three), i running fastest. landmarks: label and
    RAS mm in the world."""

    arrays: dict[str, vtk.vtkDataArray]
    landmarks: list[tuple[str, tuple[float, float, float]]]
    report: dict[str, Any]
    warnings: list[str]
    page: str


@dataclass(eq=False)
class Registered:
    """The nodes of one registration; None where it was not asked for. page: the HTML report's path."""

    moved: slicer.vtkMRMLScalarVolumeNode | None = None
    forward: slicer.vtkMRMLGridTransformNode | None = None
    inverse: slicer.vtkMRMLGridTransformNode | None = None
    jacobian: slicer.vtkMRMLScalarVolumeNode | None = None
    moved_labels: slicer.vtkMRMLDisplayableNode | None = None
    moved_landmarks: slicer.vtkMRMLMarkupsFiducialNode | None = None
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""


def load(result: Result, wanted: tuple[str, ...]) -> Loaded:
    """Read what is to be placed; `wanted`: names among moved, forward, inverse, jacobian, moved_labels."""
    arrays = {name: _vtk_array(result.outputs[f"{name}_array"]) for name in wanted if f"{name}_array" in result.outputs}
    landmarks = _landmarks(result.outputs["moved_landmarks"]) if "moved_landmarks" in result.outputs else []
    return Loaded(arrays, landmarks, result.report, result.warnings, result.outputs.get("page", ""))


def _vtk_array(path: str) -> vtk.vtkDataArray:
    """Copied piece by piece into memory that VTK owns: numpy lets other threads run meanwhile."""
    values = np.load(path, mmap_mode="r")
    components = 3 if values.ndim == 4 else 1
    array = vtk.vtkDataArray.CreateDataArray(get_vtk_array_type(values.dtype))
    array.UnRegister(None)
    array.SetNumberOfComponents(components)
    array.SetNumberOfTuples(values.size // components)
    target, source = vtk_to_numpy(array).reshape(-1), values.reshape(-1)
    for start in range(0, values.size, _PIECE):
        target[start : start + _PIECE] = source[start : start + _PIECE]
    return array


def _landmarks(path: str) -> list[tuple[str, tuple[float, float, float]]]:
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))[1:]
    return [(row[0], (float(row[1]), float(row[2]), float(row[3]))) for row in rows]


def place(nodes: RegistrationNodes, loaded: Loaded) -> Generator[None, None, Registered]:
    """Add the nodes of `loaded` to the scene; when it ends early, by an error or closed, none of them stays."""
    placed = Registered(report=loaded.report, warnings=loaded.warnings, page=loaded.page)
    added: list[slicer.vtkMRMLNode] = []
    try:
        for name, make in _MAKERS.items():
            if name in loaded.arrays or (name == "moved_landmarks" and loaded.landmarks):
                node = make(nodes, loaded, added)
                _provenance(node, nodes, loaded)
                _beside(node, nodes.moving)
                setattr(placed, name, node)
                yield
    except BaseException:
        for node in added:
            slicer.mrmlScene.RemoveNode(node)
        raise
    return placed


def _moved(nodes: RegistrationNodes, loaded: Loaded, added: list) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("{moving} registered to {fixed}").format(moving=nodes.moving.GetName(), fixed=nodes.fixed.GetName())
    node = _volume("vtkMRMLScalarVolumeNode", name, nodes, added)
    _looks_like(node, nodes.moving)
    _fill(node, nodes, loaded, "moved")
    return node


def _jacobian(nodes: RegistrationNodes, loaded: Loaded, added: list) -> slicer.vtkMRMLScalarVolumeNode:
    node = _volume(
        "vtkMRMLScalarVolumeNode", _("Volume change of {moving}").format(moving=nodes.moving.GetName()), nodes, added
    )
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(2.0, 1.0)
    _fill(node, nodes, loaded, "jacobian")
    return node


def _moved_labels(nodes: RegistrationNodes, loaded: Loaded, added: list) -> slicer.vtkMRMLDisplayableNode:
    name = _("{labels} registered to {fixed}").format(labels=nodes.moving_labels.GetName(), fixed=nodes.fixed.GetName())
    if nodes.moving_labels.IsA("vtkMRMLSegmentationNode"):
        return _moved_segmentation(name, nodes, loaded, added)
    node = _volume("vtkMRMLLabelMapVolumeNode", name, nodes, added)
    source = nodes.moving_labels.GetDisplayNode()
    if source is not None and source.GetColorNode() is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(source.GetColorNodeID())
    _fill(node, nodes, loaded, "moved_labels")
    return node


def _moved_segmentation(
    name: str, nodes: RegistrationNodes, loaded: Loaded, added: list
) -> slicer.vtkMRMLSegmentationNode:
    """One layer that all segments share; names, colours and terminology are the source's."""
    node = _add("vtkMRMLSegmentationNode", name, added)
    node.CreateDefaultDisplayNodes()
    parent, affine, shape = _geometry(nodes, loaded)
    layer = slicer.vtkOrientedImageData()
    layer.SetDimensions(*shape)
    layer.GetPointData().SetScalars(loaded.arrays["moved_labels"])
    layer.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(affine))
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    target, source = node.GetSegmentation(), nodes.moving_labels.GetSegmentation()
    numbers = numbering(nodes.fixed_labels, nodes.moving_labels)
    target.SetSourceRepresentationName(kind)
    for n in range(source.GetNumberOfSegments()):
        segment = slicer.vtkSegment()
        segment.DeepCopyMetadata(source.GetNthSegment(n))
        segment.SetLabelValue(numbers[segment.GetName()])
        segment.AddRepresentation(kind, layer)
        target.AddSegment(segment, source.GetNthSegmentID(n))
    node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), nodes.fixed.GetID())
    node.SetAndObserveTransformNodeID(parent)
    return node


def _transform(name: str, source: str, target: str):
    """The transform node that brings `source` onto `target`: it lies under the target's parent."""

    def make(nodes: RegistrationNodes, loaded: Loaded, added: list) -> slicer.vtkMRMLGridTransformNode:
        from_, to = getattr(nodes, source), getattr(nodes, target)
        node = _add(
            "vtkMRMLGridTransformNode",
            _("{source} to {target}").format(source=from_.GetName(), target=to.GetName()),
            added,
        )
        lattice = loaded.report["placement"][name]
        affine = np.array(lattice["affine"])
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        image = vtk.vtkImageData()
        image.SetDimensions(*lattice["shape"])
        image.SetOrigin(*affine[:3, 3])
        image.SetSpacing(*spacing)
        image.GetPointData().SetScalars(loaded.arrays[name])
        directions = np.eye(4)
        directions[:3, :3] = affine[:3, :3] / spacing
        grid = slicer.vtkOrientedGridTransform()
        grid.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(directions))
        grid.SetDisplacementGridData(image)
        node.SetAndObserveTransformFromParent(grid)
        node.SetAndObserveTransformNodeID(to.GetTransformNodeID())
        node.SetNodeReferenceID(slicer.vtkMRMLTransformNode.GetFixedNodeReferenceRole(), to.GetID())
        node.SetNodeReferenceID(slicer.vtkMRMLTransformNode.GetMovingNodeReferenceRole(), from_.GetID())
        return node

    return make


def _moved_landmarks(nodes: RegistrationNodes, loaded: Loaded, added: list) -> slicer.vtkMRMLMarkupsFiducialNode:
    name = _("{landmarks} registered to {fixed}").format(
        landmarks=nodes.moving_landmarks.GetName(), fixed=nodes.fixed.GetName()
    )
    node = _add("vtkMRMLMarkupsFiducialNode", name, added)
    node.CreateDefaultDisplayNodes()
    source = nodes.moving_landmarks.GetDisplayNode()
    if source is not None and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetVisibility(source.GetVisibility())
    for label, position in loaded.landmarks:
        node.AddControlPoint(vtk.vtkVector3d(*position), label)
    return node


_MAKERS = {
    "moved": _moved,
    "forward": _transform("forward", "moving", "fixed"),
    "inverse": _transform("inverse", "fixed", "moving"),
    "jacobian": _jacobian,
    "moved_labels": _moved_labels,
    "moved_landmarks": _moved_landmarks,
}


def _add(kind: str, name: str, added: list) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))
    added.append(node)
    return node


def _volume(kind: str, name: str, nodes: RegistrationNodes, added: list) -> Any:
    """With its display node, which must be there before the voxels: it would look at all of them otherwise."""
    node = _add(kind, name, added)
    node.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        added.append(node.GetDisplayNode())
    return node


def _geometry(nodes: RegistrationNodes, loaded: Loaded) -> tuple[str | None, np.ndarray, tuple[int, ...]]:
    """Parent, index -> RAS and counts of images on the fixed grid: under the fixed volume's parent, or in the world
    where that parent bends."""
    grid = loaded.report["placement"]["fixed"]
    parent = None if grid["in_world"] else nodes.fixed.GetTransformNodeID()
    return parent, np.array(grid["affine"]), tuple(grid["shape"])


def _fill(node: slicer.vtkMRMLVolumeNode, nodes: RegistrationNodes, loaded: Loaded, name: str) -> None:
    parent, affine, shape = _geometry(nodes, loaded)
    image = vtk.vtkImageData()
    image.SetDimensions(*shape)
    image.GetPointData().SetScalars(loaded.arrays[name])
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    node.SetAndObserveImageData(image)
    node.SetAndObserveTransformNodeID(parent)


def _looks_like(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Window, level and colours of `source`, so that nothing seems to have changed but the place."""
    theirs, own = source.GetDisplayNode(), node.GetDisplayNode()
    if theirs is None or own is None:
        return
    own.SetAutoWindowLevel(False)
    own.SetWindowLevel(theirs.GetWindow(), theirs.GetLevel())
    own.SetAndObserveColorNodeID(theirs.GetColorNodeID())


def _provenance(node: slicer.vtkMRMLNode, nodes: RegistrationNodes, loaded: Loaded) -> None:
    """Where the node comes from. The sources' DICOM identifiers are kept under names of our own: the result is none of
    those instances."""
    node.SetAttribute("SynthReg.Derived", DERIVED)
    node.SetAttribute("SynthReg.Model", str(loaded.report.get("model", "")))
    if loaded.page:
        node.SetAttribute("SynthReg.Report", os.path.normpath(loaded.page))
    for role in _ROLES:
        source = getattr(nodes, role)
        node.SetNodeReferenceID(f"SynthReg.{role}", source.GetID())
        node.SetAttribute(f"SynthReg.{role}", source.GetName())
        instances = source.GetAttribute("DICOM.instanceUIDs")
        if instances:
            node.SetAttribute(f"SynthReg.{role}.DICOM.instanceUIDs", instances)


def _beside(node: slicer.vtkMRMLNode, source: slicer.vtkMRMLNode) -> None:
    """In the subject hierarchy, where the source lies: the same patient and study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is None:
        return
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(source)) or hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
