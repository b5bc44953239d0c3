"""Values at the crosshair: both images, their difference, label, displacement, Jacobian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from SynthRegLib.node_geometry import between, ijk_to_ras, mapped

from SynthReviewLib.deformation import pulled, volume_change


@dataclass(frozen=True)
class ProbeValues:
    """values: of A and B, None outside of the image. displacement_mm: RAS. change: Jacobian determinant."""

    ras: tuple[float, float, float]
    values: tuple[float | None, float | None]
    labels: tuple[str, ...] = ()
    displacement_mm: tuple[float, float, float] | None = None
    change: float | None = None

    @property
    def difference(self) -> float | None:
        """Return B minus A."""
        first, second = self.values
        return None if first is None or second is None else second - first


def probe(
    ras: np.ndarray,
    volumes: tuple[slicer.vtkMRMLScalarVolumeNode | None, slicer.vtkMRMLScalarVolumeNode | None],
    labels: slicer.vtkMRMLDisplayableNode | None = None,
    transform: slicer.vtkMRMLTransformNode | None = None,
) -> ProbeValues:
    """Return the values at ras, (3,) mm in the world."""
    values = tuple(value_at(volume, ras) if volume is not None else None for volume in volumes)
    moved = change = None
    if transform is not None:
        pull = pulled(transform)
        moved = tuple((mapped(pull, ras[None])[0] - ras).tolist())
        change = float(volume_change(pull, ras[None])[0])
    return ProbeValues(tuple(ras.tolist()), values, labels_at(labels, ras) if labels is not None else (), moved, change)


def value_at(volume: slicer.vtkMRMLScalarVolumeNode, ras: np.ndarray) -> float | None:
    """Return the interpolated value; None outside and for several values per voxel."""
    image = volume.GetImageData()
    if image is None or image.GetNumberOfScalarComponents() != 1:
        return None
    place, counts = _index_of(volume, ras), np.array(image.GetDimensions())
    if (place < -0.5).any() or (place > counts - 0.5).any():
        return None
    place = place.clip(0, counts - 1)
    low = np.minimum(place.astype(int), np.maximum(counts - 2, 0))
    value = 0.0
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, place - low, 1 - (place - low)))
        if weight > 0:
            i, j, k = (int(n) for n in low + corner)
            value += float(weight) * image.GetScalarComponentAsDouble(i, j, k, 0)
    return value


def labels_at(node: slicer.vtkMRMLDisplayableNode, ras: np.ndarray) -> tuple[str, ...]:
    """Return the names of the segments, or of the label, at a point in the world."""
    if node.IsA("vtkMRMLSegmentationNode"):
        return _segments_at(node, ras)
    image = node.GetImageData()
    if image is None:
        return ()
    place = np.rint(_index_of(node, ras)).astype(int)
    if (place < 0).any() or (place >= image.GetDimensions()).any():
        return ()
    number = int(image.GetScalarComponentAsDouble(*place.tolist(), 0))
    if number == 0:
        return ()
    display = node.GetDisplayNode()
    colours = display.GetColorNode() if display is not None else None
    name = colours.GetColorName(number) if colours is not None else ""
    return (f"{name} ({number})" if name else str(number),)


def _segments_at(node: slicer.vtkMRMLSegmentationNode, ras: np.ndarray) -> tuple[str, ...]:
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    own = mapped(between(None, node.GetParentTransformNode()), ras[None])[0]
    segmentation, names = node.GetSegmentation(), []
    for n in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(n)
        image = segment.GetRepresentation(kind)
        if image is None:
            continue
        matrix = vtk.vtkMatrix4x4()
        image.GetWorldToImageMatrix(matrix)
        place = np.rint(slicer.util.arrayFromVTKMatrix(matrix) @ [*own, 1.0])[:3].astype(int)
        extent = np.array(image.GetExtent()).reshape(3, 2)
        inside = (place >= extent[:, 0]).all() and (place <= extent[:, 1]).all()
        if inside and image.GetScalarComponentAsDouble(*place.tolist(), 0) == segment.GetLabelValue():
            names.append(segment.GetName())
    return tuple(names)


def _index_of(volume: slicer.vtkMRMLVolumeNode, ras: np.ndarray) -> np.ndarray:
    own = mapped(between(None, volume.GetParentTransformNode()), ras[None])[0]
    return np.linalg.solve(ijk_to_ras(volume), [*own, 1.0])[:3]
