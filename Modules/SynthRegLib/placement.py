"""Where a node lies in the world: its own matrix, and the transforms above it, linear or not.

A volume under linear transforms is a volume with another matrix. One under a transform that bends (a grid from DICOM's
"acquisition transform", a B-spline) has no matrix in the world: it is seen on a grid there, through the positions that
MRML's own transforms give. All points are RAS mm.
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
MOST_POINTS = 8_000_000
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
        """(stop - start, 3) positions of the points numbered so."""
        index = np.stack(np.unravel_index(np.arange(start, min(stop, self.count)), self.shape, order="F"), axis=1)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_json(self) -> dict[str, list]:
        return {"shape": list(self.shape), "affine": self.affine.tolist()}


def ijk_to_ras(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """4x4, voxel index -> the volume's own RAS mm, before any transform above it."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def parent_matrix(node: slicer.vtkMRMLTransformableNode) -> np.ndarray | None:
    """4x4, the node's own RAS mm -> world, or None where a transform above it bends."""
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
    """From the space below `source` to the space below `target`; None is the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return transform


def mapped(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """(N, 3) -> (N, 3)."""
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64)))
    target.SetDataTypeToDouble()
    transform.TransformPoints(source, target)
    return vtk_to_numpy(target.GetData()).copy()


def mapped_lattice(transform: vtk.vtkAbstractTransform, lattice: Lattice) -> Iterator[np.ndarray]:
    """Where the points of `lattice` go, (N, 3) float64 piece by piece."""
    for start in range(0, lattice.count, PIECE):
        yield mapped(transform, lattice.points(start, start + PIECE))


def world_lattice(own: Lattice, to_world: vtk.vtkAbstractTransform) -> Lattice:
    """A grid in the world, parallel to the volume's own, that encloses the bent volume at its own spacing (coarser
    where that would be more than MOST_POINTS)."""
    spacing = np.linalg.norm(own.affine[:3, :3], axis=0)
    axes = own.affine[:3, :3] / spacing
    edges = [np.linspace(-0.5, n - 0.5, min(n + 1, 12)) for n in own.shape]
    index = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1).reshape(-1, 3)
    bent = mapped(to_world, index @ own.affine[:3, :3].T + own.affine[:3, 3])
    along = np.linalg.solve(axes, bent.T).T
    low, high = along.min(0) - spacing, along.max(0) + spacing
    spacing = spacing * max(1.0, (np.prod((high - low) / spacing) / MOST_POINTS) ** (1 / 3))
    return _spanned(axes, low, high, spacing)


def transform_lattice(own: Lattice, margin_mm: float = 10.0, most: int = MOST_POINTS) -> Lattice:
    """Where a transform node holds its displacements: over the volume and a margin, in the volume's own space; coarser
    than TRANSFORM_MM where that would be more than `most` points.

    Beyond it VTK continues the outermost displacements; the margin keeps what lies just outside the image right.
    """
    lengths = np.linalg.norm(own.affine[:3, :3], axis=0)
    axes = _right_handed(_orthonormal(own.affine[:3, :3] / lengths))
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in own.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    along = (corners @ own.affine[:3, :3].T + own.affine[:3, 3]) @ axes
    low, high = along.min(0) - margin_mm, along.max(0) + margin_mm
    spacing = np.full(3, max(TRANSFORM_MM, float(np.prod(high - low) / most) ** (1 / 3)))
    return _spanned(axes, low, high, spacing)


def _spanned(axes: np.ndarray, low: np.ndarray, high: np.ndarray, spacing: np.ndarray) -> Lattice:
    """Points from `low` to at least `high` (mm along the unit vectors in the columns of `axes`)."""
    counts = np.maximum(np.ceil((high - low) / spacing - 1e-6), 1).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = axes @ low
    return Lattice(tuple(counts.tolist()), affine)


def _orthonormal(axes: np.ndarray) -> np.ndarray:
    """The nearest perpendicular axes: files and VTK's grid transforms hold no shear."""
    left, _, right = np.linalg.svd(axes)
    return left @ right


def _right_handed(axes: np.ndarray) -> np.ndarray:
    return axes if np.linalg.det(axes) > 0 else axes * np.array([1.0, 1.0, -1.0])
