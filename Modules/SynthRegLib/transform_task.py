"""Write transform nodes to files for ITK. Runs in the worker process: no Slicer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.registration.landmark_fit import best_affine
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Displacement, Transform

_STRAIGHT_MM = 1e-3
"""A transform that is nowhere further than this from an affine one is written as that."""


def export_transforms(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Write forward and inverse transform with the requested suffix; a missing inverse is computed."""
    folder = Path(request.inputs["scene"]).parent
    scene = json.loads(Path(request.inputs["scene"]).read_text(encoding="utf-8"))
    fixed, moving = _grid(scene["fixed"]), _grid(scene["moving"])
    progress(0.1, "reading the transforms")
    found = {name: _transform(record, folder) for name, record in scene["fields"].items()}
    inverse = found["inverse"] if "inverse" in found else found["forward"].inverse()
    suffix, outputs = request.parameters["suffix"], {}
    for name, transform, pair in (
        ("forward", found["forward"], (fixed, moving)),
        ("inverse", inverse, (moving, fixed)),
    ):
        progress(0.5, "writing the transforms")
        outputs[name] = f"{name}{suffix}"
        write_transform(transform, workspace / outputs[name], *pair)
    return TaskOutcome(outputs, {"frame": "LPS mm, from the first image's own space to the second's"})


def _transform(record: Mapping[str, Any], folder: Path) -> Transform:
    """Return the transform of displacements (K, J, I, 3), RAS mm, on a grid."""
    grid = _grid(record)
    moves = np.load(folder / record["file"]).reshape(*grid.shape[::-1], 3).transpose(2, 1, 0, 3).astype(np.float64)
    some = tuple(slice(None, None, max(1, n // 24)) for n in grid.shape)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)[some].reshape(-1, 3)
    here = grid.index_to_world(index)
    there = here + moves[some].reshape(-1, 3)
    affine = Affine(best_affine(here, there))
    if np.abs(affine.map_points(here) - there).max() < _STRAIGHT_MM:
        return affine
    u_vox = np.einsum("ab,ijkb->aijk", np.linalg.inv(grid.affine[:3, :3]), moves)
    return Displacement(torch.from_numpy(np.ascontiguousarray(u_vox, dtype=np.float32)), grid)


def _grid(record: Mapping[str, Any]) -> Grid:
    return Grid(tuple(record["shape"]), np.array(record["affine"]))
