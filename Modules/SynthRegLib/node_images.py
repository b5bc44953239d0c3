"""Images of Slicer's nodes in the worker: the voxels of a node, and the transform between its space and the world.

nodes.py wrote the files that are read here. Runs in the worker process: no Slicer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.request import Request
from SlicerSynthReg.spatial.grid import Grid, affine_lattice, index_lattice
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.spatial.transform import Affine, Composite, Transform, apply_matrix

SAME_MM = 1e-6
"""Grids whose voxels differ by less than this are the same grid."""


class NodeImage(Protocol):
    """grid: a grid in the world that encloses the image."""

    @property
    def grid(self) -> Grid:
        """A grid in the world that encloses the image."""

    def resampled(self, grid: Grid, transform: Transform | None = None) -> Image:
        """Return the image on `grid` by one interpolation, zero outside. transform: world of `grid` -> world of the
        image."""

    def to_local(self, points_mm: np.ndarray) -> np.ndarray:
        """Map (N, 3) points from the world to the node's own space, RAS mm both."""


@dataclass(frozen=True, eq=False)
class LinearNodeImage:
    """An image under linear transforms. parent: 4x4, the node's own RAS mm -> world RAS mm."""

    image: Image
    parent: np.ndarray

    @property
    def grid(self) -> Grid:
        return Grid(self.image.grid.shape, self.parent @ self.image.grid.affine)

    def resampled(self, grid: Grid, transform: Transform | None = None) -> Image:
        if transform is None and grid.same_as(self.grid, SAME_MM):
            return Image(self.image.data, grid, self.image.kind, self.image.name)
        to_local = Affine(np.linalg.inv(self.parent))
        return self.image.resampled(grid, to_local if transform is None else Composite((transform, to_local)))

    def to_local(self, points_mm: np.ndarray) -> np.ndarray:
        return Affine(np.linalg.inv(self.parent)).map_points(points_mm)

    def to_world(self, points_mm: np.ndarray) -> np.ndarray:
        return Affine(self.parent).map_points(points_mm)


@dataclass(frozen=True, eq=False)
class WarpedNodeImage:
    """An image under a non-linear transform.

    grid: in the world. displacement_mm: (3, I, J, K) float32, for each voxel of `grid` its position in the node's own
    space minus its position in the world, RAS mm; linear between voxels and constant beyond the grid, as in VTK.
    """

    image: Image
    grid: Grid
    displacement_mm: torch.Tensor

    def resampled(self, grid: Grid, transform: Transform | None = None) -> Image:
        index = index_lattice(grid.shape)
        if transform is not None:
            index = index + transform.on(grid).u_vox
        on_grid = apply_matrix(grid.index_to_index(self.grid), index)
        index = apply_matrix(self.grid.index_to_index(self.image.grid), on_grid)
        to_voxels = torch.from_numpy(np.linalg.inv(self.image.grid.affine[:3, :3])).float()
        displacement = sample(self.displacement_mm[None], on_grid[None], padding="border")[0]
        index = index + torch.einsum("ab,b...->a...", to_voxels, displacement)
        mode = "linear" if self.image.kind == "scalar" else "nearest"
        data = sample(self.image.data.float()[None], index[None], mode=mode)[0].to(self.image.data.dtype)
        return Image(data, grid, self.image.kind, self.image.name)

    def to_local(self, points_mm: np.ndarray) -> np.ndarray:
        index = torch.from_numpy(self.grid.world_to_index(points_mm).T.copy())[None]
        displacement = sample(self.displacement_mm[None].double(), index, padding="border")[0]
        return points_mm + displacement.numpy().T


def read_scene(request: Request) -> tuple[dict[str, Any], Path]:
    """Return the records that the request's input `scene` holds, and the folder of their files."""
    path = Path(request.inputs["scene"])
    return json.loads(path.read_text(encoding="utf-8")), path.parent


def read_node_image(record: Mapping[str, Any], folder: Path, kind: str, name: str = "") -> NodeImage:
    """Return the image of one record. kind: "scalar" or "labels". name: of the node, for reports. Raises ImageError."""
    image = read_image(folder / record["file"], kind, allow_degenerate=kind == "labels")
    if record.get("numbers") is not None:
        image = _renumber(image, record["numbers"])
    image = Image(image.data, image.grid, image.kind, name or image.name)
    if record["bent"] is None:
        return LinearNodeImage(image, np.array(record["parent"]))
    grid = Grid(tuple(record["bent"]["shape"]), np.array(record["bent"]["affine"]))
    local = torch.from_numpy(np.load(folder / record["bent"]["to_own"])).reshape(*grid.shape[::-1], 3)
    return WarpedNodeImage(image, grid, local.permute(3, 2, 1, 0).float() - affine_lattice(grid.affine, grid.shape))


def merge_layers(layers: Sequence[NodeImage], grid: Grid, name: str = "") -> Image:
    """Return the label map of all layers on `grid`; where segments overlap, the later layer wins."""
    data = torch.zeros((1, *grid.shape), dtype=torch.int32)
    for layer in layers:
        labels = layer.resampled(grid).data
        data = torch.where(labels != 0, labels, data)
    return Image(data, grid, "labels", name)


def save_array(values: np.ndarray, path: Path) -> None:
    """Write (I, J, K) values as the .npy file of a (K, J, I) array, the order of vtkImageData."""
    np.save(path, np.ascontiguousarray(values.transpose(2, 1, 0)))


def fixed_placement(fixed: NodeImage) -> dict[str, Any]:
    """Return where results on the fixed grid lie: the node's own space, or the world under a non-linear parent."""
    in_world = isinstance(fixed, WarpedNodeImage)
    grid = fixed.image.grid if isinstance(fixed, LinearNodeImage) else fixed.grid
    return {"shape": list(grid.shape), "affine": grid.affine.tolist(), "in_world": in_world}


def _renumber(image: Image, numbers: Mapping[str, int]) -> Image:
    data = torch.zeros_like(image.data)
    for value, number in numbers.items():
        data[image.data == int(value)] = number
    return Image(data, image.grid, "labels", image.name)
