"""Volumes and transforms in the scene: as skewed, as turned and as bent as a test wants them. Imports no torch."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from scipy.ndimage import gaussian_filter
from vtk.util.numpy_support import numpy_to_vtk

from Testing.Slicer.rotation import turn

PLAIN = np.array([[2.0, 0, 0, -47.0], [0, 2.0, 0, -41.0], [0, 0, 2.0, -37.0], [0, 0, 0, 1.0]])


def skewed() -> np.ndarray:
    """4x4 index -> RAS of 48 x 42 x 30 voxels: oblique, anisotropic and left-handed."""
    affine = np.eye(4)
    affine[:3, :3] = turn((20.0, -15.0, 30.0)) @ np.diag([-1.9, 2.2, 2.9])
    affine[:3, 3] = np.array([3.0, -4.0, 6.0]) - affine[:3, :3] @ np.array([23.5, 20.5, 14.5])
    return affine


def volume(name: str, affine: np.ndarray, seed: int, shape: tuple[int, int, int] = (48, 42, 38)):
    """Smooth structure that fades to nothing towards the faces, as int16."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3.0)
    axes = [np.hanning(n + 2)[1:-1] for n in shape]
    values = 800 * noise / np.abs(noise).max() * np.einsum("i,j,k->ijk", *axes) + 900
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T).astype(np.int16), affine, name)


def linear_parent(degrees=(8.0, -5.0, 12.0), shift=(9.0, -6.0, 4.0), scale=1.05, name="linear"):
    matrix = np.eye(4)
    matrix[:3, :3] = turn(degrees) * scale
    matrix[:3, 3] = shift
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def grid_parent(seed: int, from_parent: bool, name="acquisition transform"):
    """A smooth bend of up to some 5 mm, on a turned grid, as DICOM's "acquisition transform"."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.standard_normal((13, 12, 11, 3)), (2.0, 2.0, 2.0, 0)) * 0.6
    field = (field / np.abs(field).max() * 5.0).astype(np.float64)
    image = vtk.vtkImageData()
    image.SetDimensions(11, 12, 13)
    image.SetSpacing(16.0, 15.0, 14.0)
    directions = np.eye(4)
    directions[:3, :3] = turn((10.0, 5.0, -8.0))
    image.SetOrigin(*(directions[:3, :3] @ np.array([-80.0, -82.0, -84.0])))
    array = numpy_to_vtk(field.reshape(-1, 3), deep=True)
    image.GetPointData().SetScalars(array)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(directions))
    transform.SetDisplacementGridData(image)
    transform.SetInterpolationModeToCubic()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", name)
    if from_parent:
        node.SetAndObserveTransformFromParent(transform)
    else:
        node.SetAndObserveTransformToParent(transform)
    return node


def matrix_of(node) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def label_map(name: str, affine: np.ndarray, labels: np.ndarray):
    """labels: (I, J, K)."""
    values = np.ascontiguousarray(labels.T).astype(np.int16)
    return slicer.util.addVolumeFromArray(values, affine, name, "vtkMRMLLabelMapVolumeNode")


def two_balls(shape=(48, 42, 38)) -> np.ndarray:
    """Labels 4 and 9 at different places, (I, J, K)."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    labels = np.zeros(shape, int)
    labels[np.linalg.norm(index - [16, 20, 18], axis=-1) < 7] = 4
    labels[np.linalg.norm(index - [32, 22, 20], axis=-1) < 6] = 9
    return labels


def segmentation(name: str, balls: np.ndarray, affine: np.ndarray):
    """Segments "left" and "right", made as Slicer makes them, which crops and shares their images."""
    labels = label_map("made of", affine, balls)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, node)
    for n, segment_name in enumerate(("left", "right")):
        node.GetSegmentation().GetNthSegment(n).SetName(segment_name)
        node.GetSegmentation().GetNthSegment(n).SetColor(0.2 + 0.4 * n, 0.5, 0.9 - 0.4 * n)
    node.GetSegmentation().GetNthSegment(1).SetTag("Terminology", "somewhere~right")
    slicer.mrmlScene.RemoveNode(labels)
    return node


def markups(points: np.ndarray, parent=None):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    for n, point in enumerate(points):
        node.AddControlPoint(vtk.vtkVector3d(*point), f"p{n}")
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node
