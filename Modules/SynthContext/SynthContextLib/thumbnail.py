"""Thumbnails of a pair of nodes: an axial slice through the labels, with the labels over it."""

from __future__ import annotations

import numpy as np
import qt
import slicer
import vtk
from SynthRegLib.labels import Layer, layers, numbering
from SynthRegLib.node_geometry import ijk_to_ras, parent_matrix
from SynthRegLib.nodes import is_labels
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

PIXELS = 48
_MODES = 400_000
"""Voxels that are sampled to find the centre of a label map."""


def thumbnails(image: slicer.vtkMRMLVolumeNode, answer: slicer.vtkMRMLNode | None) -> tuple[qt.QIcon, qt.QIcon | None]:
    """Return the thumbnails of the image, and of the output over it (None without one), in radiological convention."""
    scan = Layer(image.GetImageData(), _world(image) @ ijk_to_ras(image), None)
    middle = _middle(scan)
    colours: list[tuple[Layer, dict[int, tuple[float, float, float]]]] = []
    if answer is not None and is_labels(answer):
        place = _world(answer)
        for layer in layers(answer, numbering(answer)):
            placed = Layer(layer.image, place @ layer.affine, layer.numbers)
            colours.append((placed, _colours(answer, layer)))
        if colours:
            middle = _middle(colours[0][0], drawn_only=answer.IsA("vtkMRMLLabelMapVolumeNode"))
    points = _plane(scan, middle)
    grey = _grey(_seen(scan, points))
    plain = np.repeat(grey[..., None], 3, axis=-1)
    if answer is None:
        return _icon(plain), None
    if not is_labels(answer):
        other = Layer(answer.GetImageData(), _world(answer) @ ijk_to_ras(answer), None)
        return _icon(plain), _icon(np.repeat(_grey(_seen(other, points))[..., None], 3, axis=-1))
    over = plain.astype(float)
    for layer, known in colours:
        values = np.nan_to_num(_seen(layer, points)).astype(int)
        for value, colour in known.items():
            over[values == value] = 0.35 * over[values == value] + 0.65 * 255 * np.array(colour)
    return _icon(plain), _icon(over.astype(np.uint8))


def _world(node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """Return the 4x4 matrix to the world, without non-linear transforms."""
    matrix = parent_matrix(node)
    return np.eye(4) if matrix is None else matrix


def _values(layer: Layer) -> np.ndarray:
    """Return (I, J, K) values on the image's memory."""
    scalars = vtk_to_numpy(layer.image.GetPointData().GetScalars())
    return scalars.reshape(layer.image.GetDimensions()[::-1]).transpose(2, 1, 0)


def _middle(layer: Layer, drawn_only: bool = False) -> np.ndarray:
    """Return the centre in world mm of the image, or of the non-zero voxels of a label map."""
    index = (np.array(layer.image.GetDimensions()) - 1) / 2
    if drawn_only:
        values = _values(layer)
        step = max(1, round((values.size / _MODES) ** (1 / 3)))
        drawn = np.argwhere(values[::step, ::step, ::step] != 0)
        index = drawn.mean(0) * step if len(drawn) else index
    return layer.affine[:3, :3] @ index + layer.affine[:3, 3]


def _plane(layer: Layer, middle: np.ndarray) -> np.ndarray:
    """Return (PIXELS, PIXELS, 3) axial positions in world mm, as wide as the image."""
    shape = np.array(layer.image.GetDimensions())
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    world = corners @ layer.affine[:3, :3].T + layer.affine[:3, 3]
    low, high = world.min(0), world.max(0)
    half = (high - low)[:2].max() / 2
    centre = (low + high)[:2] / 2
    steps = (np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1
    y, x = np.meshgrid(centre[1] - half * steps, centre[0] - half * steps, indexing="ij")
    return np.stack([x, y, np.full_like(x, middle[2])], -1)


def _seen(layer: Layer, points: np.ndarray) -> np.ndarray:
    """Return the nearest voxel at each point, NaN outside."""
    inverse = np.linalg.inv(layer.affine)
    index = np.rint(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    shape = np.array(layer.image.GetDimensions())
    inside = ((index >= 0) & (index < shape)).all(-1)
    i, j, k = np.clip(index, 0, shape - 1).transpose(2, 0, 1)
    return np.where(inside, _values(layer)[i, j, k].astype(float), np.nan)


def _grey(values: np.ndarray) -> np.ndarray:
    """Return uint8 grey values between the 1st and the 99th percentile."""
    known = values[np.isfinite(values)]
    if not known.size:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(known, (1, 99))
    return (np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)


def _colours(answer: slicer.vtkMRMLNode, layer: Layer) -> dict[int, tuple[float, float, float]]:
    """Value in the layer -> colour."""
    if answer.IsA("vtkMRMLSegmentationNode"):
        segments = [answer.GetSegmentation().GetNthSegment(n) for n in range(_count(answer))]
        return {one.GetLabelValue(): one.GetColor() for one in segments if one.GetLabelValue() in layer.numbers}
    values = _values(layer)
    step = max(1, round((values.size / _MODES) ** (1 / 3)))
    table = answer.GetDisplayNode().GetColorNode() if answer.GetDisplayNode() is not None else None
    found = {}
    for value in np.unique(values[::step, ::step, ::step]).tolist():
        rgba = [1.0, 0.6, 0.1, 1.0]
        if table is not None:
            table.GetColor(int(value), rgba)
        if value:
            found[int(value)] = (rgba[0], rgba[1], rgba[2])
    return found


def _count(answer: slicer.vtkMRMLSegmentationNode) -> int:
    return answer.GetSegmentation().GetNumberOfSegments()


def _icon(pixels: np.ndarray) -> qt.QIcon:
    """Return the icon of (H, W, 3) uint8 pixels, first row on top."""
    picture = vtk.vtkImageData()
    picture.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    flat = np.ascontiguousarray(pixels[::-1]).reshape(-1, 3)
    picture.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(picture)
    writer.Write()
    pixmap = qt.QPixmap()
    pixmap.loadFromData(qt.QByteArray(vtk_to_numpy(writer.GetResult()).tobytes()))
    return qt.QIcon(pixmap)
