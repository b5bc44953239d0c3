"""Geometry of nodes: voxels, parent transforms and world, all in RAS mm.

A volume under linear transforms has a matrix in the world. One under a non-linear transform (a DICOM acquisition
transform, a B-spline) is resampled to a grid in the world, at the positions that MRML's transforms give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

PIECE = 8192
"""Points mapped between two looks at the event loop: a bending transform takes about a microsecond a point."""
MAX_POINTS = 8_000_000
TRANSFORM_MM = 2.0
"""Distance between the displacements of a transform node: half of what the flow's own voxels measure."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """shape: (I, J, K) counts. affine: 4x4, index -> RAS mm. Points are listed with i running fastest, as in VTK."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def count(self) -> int:
        return int(np.prod(self.shape))

    def points(self, start: int, stop: int) -> np.ndarray:
        """Return (stop - start, 3) positions of the points with these numbers."""
        index = np.stack(np.unravel_index(np.arange(start, min(stop, self.count)), self.shape, order="F"), axis=1)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_json(self) -> dict[str, list]:
        return {"shape": list(self.shape), "affine": self.affine.tolist()}


def ijk_to_ras(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Return the 4x4 matrix, voxel index -> the volume's own RAS mm, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def parent_matrix(node: slicer.vtkMRMLTransformableNode) -> np.ndarray | None:
    """Return the 4x4 matrix, the node's own RAS mm -> world, or None under a non-linear transform."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def between(
    source: slicer.vtkMRMLTransformNode | None, target: slicer.vtkMRMLTransformNode | None
) -> vtk.vtkGeneralTransform:
    """Return the transform from the space under `source` to the space under `target`; None is the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return transform


def mapped(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """Map (N, 3) points by a transform."""
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64)))
    target.SetDataTypeToDouble()
    transform.TransformPoints(source, target)
    return vtk_to_numpy(target.GetData()).copy()


def mapped_lattice(transform: vtk.vtkAbstractTransform, lattice: Lattice) -> Iterator[np.ndarray]:
    """Yield the mapped points of `lattice`, (N, 3) float64, in pieces."""
    for start in range(0, lattice.count, PIECE):
        yield mapped(transform, lattice.points(start, start + PIECE))


def world_lattice(own: Lattice, to_world: vtk.vtkAbstractTransform) -> Lattice:
    """Return a grid in the world that encloses the warped volume, parallel to its own and at its spacing (coarser above
    MAX_POINTS points)."""
    spacing = np.linalg.norm(own.affine[:3, :3], axis=0)
    axes = own.affine[:3, :3] / spacing
    edges = [np.linspace(-0.5, n - 0.5, min(n + 1, 12)) for n in own.shape]
    index = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(-1, 3)
    bent = mapped(to_world, index @ own.affine[:3, :3].T + own.affine[:3, 3])
    along = np.linalg.solve(axes, bent.T).T
    low, high = along.min(0) - spacing, along.max(0) + spacing
    spacing = spacing * max(1.0, (np.prod((high - low) / spacing) / MAX_POINTS) ** (1 / 3))
    return _spanned(axes, low, high, spacing)


def transform_lattice(own: Lattice, margin_mm: float = 10.0, most: int = MAX_POINTS) -> Lattice:
    """Return the grid of a transform node's displacements: the volume and a margin, in the volume's own space, at
    TRANSFORM_MM (coarser above `most` points).

    Beyond the grid VTK repeats the outermost displacements; the margin keeps the border of the image correct.
    """
    lengths = np.linalg.norm(own.affine[:3, :3], axis=0)
    axes = _right_handed(_orthonormal(own.affine[:3, :3] / lengths))
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in own.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    along = (corners @ own.affine[:3, :3].T + own.affine[:3, 3]) @ axes
    low, high = along.min(0) - margin_mm, along.max(0) + margin_mm
    spacing = np.full(3, max(TRANSFORM_MM, float(np.prod(high - low) / most) ** (1 / 3)))
    return _spanned(axes, low, high, spacing)


def _spanned(axes: np.ndarray, low: np.ndarray, high: np.ndarray, spacing: np.ndarray) -> Lattice:
    """Return the grid from `low` to at least `high` (mm along the unit vectors in the columns of `axes`)."""
    counts = np.maximum(np.ceil((high - low) / spacing - 1e-6), 1).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = axes @ low
    return Lattice(tuple(counts.tolist()), affine)


def _orthonormal(axes: np.ndarray) -> np.ndarray:
    """Return the nearest orthogonal axes, as files and VTK's grid transforms cannot hold shear."""
    left, _, right = np.linalg.svd(axes)
    return left @ right


def _right_handed(axes: np.ndarray) -> np.ndarray:
    return axes if np.linalg.det(axes) > 0 else axes * np.array([1.0, 1.0, -1.0])
