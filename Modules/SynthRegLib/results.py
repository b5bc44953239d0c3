"""From the worker's files to nodes in the scene: all of them, or none.

Reading runs off the GUI thread and touches no MRML; placing runs on it, node by node, and takes back what it placed
when it is stopped.
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
    """arrays: name -> VTK array of one value a voxel (displacements: three), i running fastest. page: the HTML report's
    path."""

    arrays: dict[str, vtk.vtkDataArray]
    report: dict[str, Any]
    warnings: list[str]
    page: str


@dataclass(frozen=True, eq=False)
class Place:
    """Where voxels lie. affine: index -> RAS mm. parent: ID of the transform above, None in the world."""

    shape: tuple[int, int, int]
    affine: np.ndarray
    parent: str | None


@dataclass(frozen=True, eq=False)
class Origin:
    """sources: role -> node that the results come from. beside: the one beside which they lie in the hierarchy, None
    for its top."""

    sources: Mapping[str, slicer.vtkMRMLNode]
    beside: slicer.vtkMRMLNode | None
    model: str
    page: str

    def attributes(self) -> dict[str, str]:
        """Of a node that tells it. The sources' DICOM identifiers are kept under names of our own: the result is none
        of those instances."""
        told = {"SynthReg.Derived": DERIVED, "SynthReg.Model": self.model}
        if self.page:
            told["SynthReg.Report"] = os.path.normpath(self.page)
        for role, source in self.sources.items():
            told[f"SynthReg.{role}"] = source.GetName()
            instances = source.GetAttribute("DICOM.instanceUIDs")
            if instances:
                told[f"SynthReg.{role}.DICOM.instanceUIDs"] = instances
        return told


def load(result: Result, wanted: tuple[str, ...]) -> Loaded:
    """Read the arrays of the outputs named in `wanted`, as far as they are there."""
    arrays = {name: _vtk_array(result.outputs[f"{name}_array"]) for name in wanted if f"{name}_array" in result.outputs}
    return Loaded(arrays, result.report, result.warnings, result.outputs.get("page", ""))


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


def place_all(makers: Mapping[str, Callable[[Added], Any]], origin: Origin) -> Generator[None, None, dict[str, Any]]:
    """Make the nodes, a step each; when it ends early, by an error or closed, none of them stays. Returns them by name.

    A maker adds every node that it makes to the list that it is given, as `add` does, and returns the one that counts.
    """
    added: Added = []
    placed = {}
    try:
        for name, make in makers.items():
            placed[name] = make(added)
            tell_origin(placed[name], origin)
            lay_beside(placed[name], origin.beside)
            yield
    except BaseException:
        for node in added:
            slicer.mrmlScene.RemoveNode(node)
        raise
    return placed


def place_of(loaded: Loaded, name: str, main: slicer.vtkMRMLTransformableNode) -> Place:
    """Where image_task says that the image `name` lies. main: the node under whose parent it lies, or in the world."""
    found = loaded.report["placement"][name]
    return Place(
        tuple(found["shape"]), np.array(found["affine"]), None if found["in_world"] else main.GetTransformNodeID()
    )


def add(kind: str, name: str, added: Added) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))
    added.append(node)
    return node


def add_volume(kind: str, name: str, added: Added) -> Any:
    """With its display node, which must be there before the voxels: it would look at all of them otherwise."""
    node = add(kind, name, added)
    node.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        added.append(node.GetDisplayNode())
    return node


def fill(node: slicer.vtkMRMLVolumeNode, array: vtk.vtkDataArray, place: Place) -> None:
    image = vtk.vtkImageData()
    image.SetDimensions(*place.shape)
    image.GetPointData().SetScalars(array)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(place.affine))
    node.SetAndObserveImageData(image)
    node.SetAndObserveTransformNodeID(place.parent)


def add_scan(
    name: str,
    array: vtk.vtkDataArray,
    place: Place,
    added: Added,
    like: slicer.vtkMRMLScalarVolumeNode | None = None,
    window: tuple[float, float] | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A scalar volume. like: its window, level and colours, so that nothing seems to have changed but the image.
    window: and level, instead. With neither, all voxels are looked at for one, which takes a while."""
    node = add_volume("vtkMRMLScalarVolumeNode", name, added)
    if like is not None:
        look_like(node, like)
    if window is not None:
        set_window(node, *window)
    fill(node, array, place)
    return node


def add_segmentation(
    name: str,
    array: vtk.vtkDataArray,
    place: Place,
    added: Added,
    segments: Mapping[str, tuple[int, slicer.vtkSegment]],
    geometry: slicer.vtkMRMLVolumeNode,
) -> slicer.vtkMRMLSegmentationNode:
    """One layer that all segments share. segments: segment ID -> (its label in `array`, a segment with its name, colour
    and tags, which are copied). geometry: the volume that it is drawn on."""
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
    """terminology: as the tag of the same name holds it."""
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*color)
    if terminology:
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology)
    return segment


def look_like(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Its window, level and colours."""
    theirs, own = source.GetDisplayNode(), node.GetDisplayNode()
    if theirs is not None and own is not None:
        set_window(node, theirs.GetWindow(), theirs.GetLevel())
        own.SetAndObserveColorNodeID(theirs.GetColorNodeID())


def tell_origin(node: slicer.vtkMRMLNode, origin: Origin) -> None:
    """Where the node comes from."""
    for name, value in origin.attributes().items():
        node.SetAttribute(name, value)
    for role, source in origin.sources.items():
        node.SetNodeReferenceID(f"SynthReg.{role}", source.GetID())


def lay_beside(node: slicer.vtkMRMLNode, source: slicer.vtkMRMLNode | None) -> None:
    """In the subject hierarchy, where the source lies: the same patient and study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is None or source is None:
        return
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(source)) or hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
