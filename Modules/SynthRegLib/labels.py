"""Label maps and segmentations as layers of integer labels, as they are written for the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from SynthRegLib.node_geometry import ijk_to_ras


@dataclass(frozen=True, eq=False)
class Layer:
    """One image of labels. affine: 4x4, index -> the node's own RAS mm. numbers: value in the image -> label, None for
    the values themselves."""

    image: vtk.vtkImageData
    affine: np.ndarray
    numbers: dict[int, int] | None


def numbering(*nodes: slicer.vtkMRMLNode | None) -> dict[str, int]:
    """Return segment name -> label over all segmentations among `nodes`; segments of the same name share a label."""
    names = [name for node in nodes if node is not None for name in segment_names(node)]
    return {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}


def segment_names(node: slicer.vtkMRMLNode) -> list[str]:
    if not node.IsA("vtkMRMLSegmentationNode"):
        return []
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]


def layers(node: slicer.vtkMRMLNode, numbers: Mapping[str, int]) -> list[Layer]:
    """Return the layers of a node: one for a label map, several for a segmentation with overlapping segments."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return [Layer(node.GetImageData(), ijk_to_ras(node), None)]
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = node.GetSegmentation()
    if not segmentation.ContainsRepresentation(kind):
        node.CreateBinaryLabelmapRepresentation()
    found: dict[int, Layer] = {}
    for n in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(n)
        image = segment.GetRepresentation(kind)
        if image is None or image.GetNumberOfPoints() == 0:
            continue
        layer = found.setdefault(id(image), Layer(image, _affine(image), {}))
        layer.numbers[segment.GetLabelValue()] = numbers[segment.GetName()]
    return list(found.values())


def _affine(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return the 4x4 affine of the first stored voxel; segments are cropped, so that their indices need not start
    at 0."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = slicer.util.arrayFromVTKMatrix(matrix)
    first = np.array([*image.GetExtent()[::2], 1.0])
    affine[:, 3] = affine @ first
    return affine
