"""Add the worker's results to the scene as nodes, all or none.

Reading runs off the GUI thread without MRML; adding runs on it, node by node, and is undone when it is stopped.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from SlicerSynthReg.request import Result
from SynthRegLib.display import set_window

DERIVED = "synthetic/derived, not for diagnosis"
_PIECE = 1 << 18

Added = list
"""Nodes of which none stays if the placing ends early."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """arrays: name -> VTK array of one value per voxel (displacements: three), i running fastest. page: path of the
    HTML report."""

    arrays: dict[str, vtk.vtkDataArray]
    report: dict[str, Any]
    warnings: list[str]
    page: str


@dataclass(frozen=True, eq=False)
class NodePlacement:
    """Geometry of a result. affine: index -> RAS mm. parent: ID of the parent transform, None in the world."""

    shape: tuple[int, int, int]
    affine: np.ndarray
    parent: str | None


@dataclass(frozen=True, eq=False)
class Origin:
    """sources: role -> node from which the results were computed. beside: node beside which they are placed in the
    hierarchy, None for its top."""

    sources: Mapping[str, slicer.vtkMRMLNode]
    beside: slicer.vtkMRMLNode | None
    model: str
    page: str

    def attributes(self) -> dict[str, str]:
        """Return the attributes. DICOM identifiers of the sources get names of their own, as the result is none of
        those instances."""
        summary_text = {"SynthReg.Derived": DERIVED, "SynthReg.Model": self.model}
        if self.page:
            summary_text["SynthReg.Report"] = os.path.normpath(self.page)
        for role, source in self.sources.items():
            summary_text[f"SynthReg.{role}"] = source.GetName()
            instances = source.GetAttribute("DICOM.instanceUIDs")
            if instances:
                summary_text[f"SynthReg.{role}.DICOM.instanceUIDs"] = instances
        return summary_text


def load(result: Result, wanted: tuple[str, ...]) -> Loaded:
    """Read the arrays of the outputs in `wanted` that exist."""
    arrays = {name: _vtk_array(result.outputs[f"{name}_array"]) for name in wanted if f"{name}_array" in result.outputs}
    return Loaded(arrays, result.report, result.warnings, result.outputs.get("page", ""))


def _vtk_array(path: str) -> vtk.vtkDataArray:
    """Copy piece by piece into memory of VTK; numpy lets other threads run meanwhile."""
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


def add_all(makers: Mapping[str, Callable[[Added], Any]], origin: Origin) -> Generator[None, None, dict[str, Any]]:
    """Create one node per step and return them by name; none of them stays after an error or a cancellation.

    A maker appends every node that it adds to the list that it gets, as `add` does, and returns the main one.
    """
    added: Added = []
    placed = {}
    try:
        for name, make in makers.items():
            placed[name] = make(added)
            set_origin_attributes(placed[name], origin)
            place_beside(placed[name], origin.beside)
            yield
    except BaseException:
        for node in added:
            slicer.mrmlScene.RemoveNode(node)
        raise
    return placed


def node_placement(loaded: Loaded, name: str, main: slicer.vtkMRMLTransformableNode) -> NodePlacement:
    """Return where the image `name` lies. main: node under whose parent it lies, unless it lies in the world."""
    found = loaded.report["placement"][name]
    return NodePlacement(
        tuple(found["shape"]), np.array(found["affine"]), None if found["in_world"] else main.GetTransformNodeID()
    )


def add(kind: str, name: str, added: Added) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))
    added.append(node)
    return node


def add_volume(kind: str, name: str, added: Added) -> Any:
    """Add a volume with its display node, which must exist before the voxels: it would scan all of them otherwise."""
    node = add(kind, name, added)
    node.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        added.append(node.GetDisplayNode())
    return node


def fill(node: slicer.vtkMRMLVolumeNode, array: vtk.vtkDataArray, place: NodePlacement) -> None:
    image = vtk.vtkImageData()
    image.SetDimensions(*place.shape)
    image.GetPointData().SetScalars(array)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(place.affine))
    node.SetAndObserveImageData(image)
    node.SetAndObserveTransformNodeID(place.parent)


def add_scan(
    name: str,
    array: vtk.vtkDataArray,
    place: NodePlacement,
    added: Added,
    like: slicer.vtkMRMLScalarVolumeNode | None = None,
    window: tuple[float, float] | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a scalar volume. like: volume whose window, level and colours are copied. window: window and level instead.
    With neither, all voxels are scanned for a window, which takes a while."""
    node = add_volume("vtkMRMLScalarVolumeNode", name, added)
    if like is not None:
        copy_display(node, like)
    if window is not None:
        set_window(node, *window)
    fill(node, array, place)
    return node


def add_segmentation(
    name: str,
    array: vtk.vtkDataArray,
    place: NodePlacement,
    added: Added,
    segments: Mapping[str, tuple[int, slicer.vtkSegment]],
    geometry: slicer.vtkMRMLVolumeNode,
) -> slicer.vtkMRMLSegmentationNode:
    """Add a segmentation with one shared layer. segments: segment ID -> (label in `array`, segment with name, colour
    and tags). geometry: reference volume."""
    node = add("vtkMRMLSegmentationNode", name, added)
    node.CreateDefaultDisplayNodes()
    layer = slicer.vtkOrientedImageData()
    layer.SetDimensions(*place.shape)
    layer.GetPointData().SetScalars(array)
    layer.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(place.affine))
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    target = node.GetSegmentation()
    target.SetSourceRepresentationName(kind)
    for segment_id, (label, source) in segments.items():
        segment = slicer.vtkSegment()
        segment.DeepCopyMetadata(source)
        segment.SetLabelValue(label)
        segment.AddRepresentation(kind, layer)
        target.AddSegment(segment, segment_id)
    node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), geometry.GetID())
    node.SetAndObserveTransformNodeID(place.parent)
    return node


def new_segment(name: str, color: tuple[float, float, float], terminology: str = "") -> slicer.vtkSegment:
    """Return a segment. terminology: value of its terminology tag."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*color)
    if terminology:
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology)
    return segment


def copy_display(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Copy window, level and colours."""
    theirs, own = source.GetDisplayNode(), node.GetDisplayNode()
    if theirs is not None and own is not None:
        set_window(node, theirs.GetWindow(), theirs.GetLevel())
        own.SetAndObserveColorNodeID(theirs.GetColorNodeID())


def set_origin_attributes(node: slicer.vtkMRMLNode, origin: Origin) -> None:
    """Store the origin in the node's attributes and references."""
    for name, value in origin.attributes().items():
        node.SetAttribute(name, value)
    for role, source in origin.sources.items():
        node.SetNodeReferenceID(f"SynthReg.{role}", source.GetID())


def place_beside(node: slicer.vtkMRMLNode, source: slicer.vtkMRMLNode | None) -> None:
    """Place the node in the subject hierarchy under the source's patient and study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is None or source is None:
        return
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(source)) or hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
