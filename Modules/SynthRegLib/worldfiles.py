"""The worker's side of nodes.py: its files to images that know their place in the world, and arrays for new nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from SlicerSynthReg.space.grid import Grid, affine_lattice
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SynthRegLib.placed import Bent, Placed, Straight


def read_placed(record: Mapping[str, Any], folder: Path, kind: str) -> Placed:
    """The image of one record."""
    image = read_volume(folder / record["file"], kind, allow_degenerate=kind == "labels")
    if record.get("numbers") is not None:
        image = _renumbered(image, record["numbers"])
    if record["bent"] is None:
        return Straight(image, np.array(record["parent"]))
    grid = Grid(tuple(record["bent"]["shape"]), np.array(record["bent"]["affine"]))
    own = torch.from_numpy(np.load(folder / record["bent"]["to_own"])).reshape(*grid.shape[::-1], 3)
    return Bent(image, grid, own.permute(3, 2, 1, 0).float() - affine_lattice(grid.affine, grid.shape))


def _renumbered(image: Volume, numbers: Mapping[str, int]) -> Volume:
    data = torch.zeros_like(image.data)
    for value, number in numbers.items():
        data[image.data == int(value)] = number
    return Volume(data, image.grid, "labels", image.name)


def merged(layers: Sequence[Placed], grid: Grid) -> Volume:
    """Where segments overlap, the later layer wins."""
    data = torch.zeros((1, *grid.shape), dtype=torch.int32)
    for layer in layers:
        seen = layer.seen(grid).data
        data = torch.where(seen != 0, seen, data)
    return Volume(data, grid, "labels")


def as_vtk(values: np.ndarray) -> np.ndarray:
    """(I, J, K) -> (K, J, I), contiguous, as vtkImageData stores it."""
    return np.ascontiguousarray(values.transpose(2, 1, 0))
