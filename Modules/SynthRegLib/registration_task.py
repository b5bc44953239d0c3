"""Register nodes of Slicer's scene in memory: from the nodes' arrays to the world, and back to the nodes' own spaces.

T is the transform, fixed world -> moving world; F and M map the fixed and the moving node's own RAS mm to the world.
The transform nodes hold, as "from parent" displacements:
    forward, under the fixed node's parent:   x -> M^-1(T(F(x)))
    inverse, under the moving node's parent:  x -> F^-1(T^-1(M(x)))
The moving volume under `forward` is then where the moved image is, whatever transforms lie above either node; each is
the inverse of the other; saved beside the volumes' files, they fit these. Runs in the worker process: no Slicer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import numpy as np

from SlicerSynthReg.api.registration import Registration
from SlicerSynthReg.io.landmarks import read_landmarks, write_landmarks
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.registration.landmark_fit import best_affine
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Transform
from SynthRegLib.node_images import (
    LinearNodeImage,
    NodeImage,
    fixed_placement,
    merge_layers,
    read_node_image,
    read_scene,
    save_array,
)

_POINTS_AT_ONCE = 1_000_000
_REGISTERED, _SAVED = 0.88, 0.94
"""Shares of the progress bar."""


def register_nodes(
    request: Request, workspace: Path, progress: Progress, register: Callable[..., Registration]
) -> TaskOutcome:
    """Register the images of scene.json by `register`, and write .npy arrays for the result nodes, page and record."""
    scene, folder = read_scene(request)
    fixed, moving = (
        read_node_image(scene[role], folder, "scalar", scene["names"][role]) for role in ("fixed", "moving")
    )
    result = register(
        fixed.resampled(fixed.grid),
        moving.resampled(moving.grid),
        **_guides(scene, folder, fixed, moving),
        parameters=RegisterParameters(**request.parameters),
        progress=sub_progress(progress, 0.0, _REGISTERED),
    )
    outputs = result.save(workspace, sub_progress(progress, _REGISTERED, _SAVED), images=False)
    # under a non-linear parent, the API's moved image would be the second interpolation of the node's voxels
    moved = result.moved if isinstance(moving, LinearNodeImage) else moving.resampled(fixed.grid, result.transform)
    for name, image in {**result.images, "moved": moved}.items():
        outputs[f"{name}_array"] = f"{name}.npy"
        save_array(image.data[0].numpy(), workspace / f"{name}.npy")
    if result.moved_landmarks is not None:
        outputs["moved_landmarks"] = "moved_landmarks.csv"
        write_landmarks(result.moved_landmarks, workspace / outputs["moved_landmarks"])
    directions = {"forward": (result.transform, fixed, moving), "inverse": (result.inverse, moving, fixed)}
    for name, (transform, source, target) in directions.items():
        progress(_SAVED + (0.0 if name == "forward" else 0.03), "writing the results")
        outputs[f"{name}_array"] = f"{name}.npy"
        np.save(workspace / f"{name}.npy", displacements(scene[name], folder, source, transform, target))
    placement = {name: {key: scene[name][key] for key in ("shape", "affine")} for name in directions}
    placement["fixed"] = fixed_placement(fixed)
    return TaskOutcome(outputs, {**result.report.to_dict(), "placement": placement}, list(result.warnings))


def _guides(scene: Mapping[str, Any], folder: Path, fixed: NodeImage, moving: NodeImage) -> dict[str, Any]:
    """Return the labels, masks, landmarks and initial transform as `register` takes them.

    Labels lie on their image's grid; a single layer of the moving side under linear transforms keeps its own grid, so
    that it is interpolated once.
    """
    guides: dict[str, Any] = {}
    for role, image in (("fixed", fixed), ("moving", moving)):
        for kind in ("mask", "labels"):
            if f"{role}_{kind}" in scene:
                layers = [read_node_image(layer, folder, "labels") for layer in scene[f"{role}_{kind}"]]
                keeps_grid = role == "moving" and len(layers) == 1 and isinstance(layers[0], LinearNodeImage)
                guides[f"{role}_{kind}"] = merge_layers(layers, layers[0].grid if keeps_grid else image.grid)
        if f"{role}_landmarks" in scene:
            guides[f"{role}_landmarks"] = read_landmarks(folder / scene[f"{role}_landmarks"])
    if "initial_transform" in scene:
        record = scene["initial_transform"]
        grid = Grid(tuple(record["shape"]), np.array(record["affine"]))
        guides["initial_transform"] = best_affine(
            _lattice_points(grid, 0, grid.voxel_count), np.load(folder / record["moving"])
        )
    return guides


def displacements(
    record: Mapping[str, Any], folder: Path, source: NodeImage, transform: Transform, target: NodeImage
) -> np.ndarray:
    """Return (K, J, I, 3) float32 displacements in the source node's own space, RAS mm.

    Each leads from a point of the transform node's lattice to its image in the target node's own space. transform:
    source world -> target world.
    """
    grid = Grid(tuple(record["shape"]), np.array(record["affine"]))
    world = np.empty((0, 3)) if record["world"] is None else np.load(folder / record["world"], mmap_mode="r")
    field = np.empty((grid.voxel_count, 3), dtype=np.float32)
    for start in range(0, grid.voxel_count, _POINTS_AT_ONCE):
        stop = min(start + _POINTS_AT_ONCE, grid.voxel_count)
        local = _lattice_points(grid, start, stop)
        points = source.to_world(local) if isinstance(source, LinearNodeImage) else np.array(world[start:stop])
        field[start:stop] = target.to_local(transform.map_points(points)) - local
    return field.reshape(*grid.shape[::-1], 3)


def _lattice_points(grid: Grid, start: int, stop: int) -> np.ndarray:
    """Return (stop - start, 3) RAS mm of the voxels with these numbers, i running fastest."""
    return grid.index_to_world(np.stack(np.unravel_index(np.arange(start, stop), grid.shape, order="F"), axis=1))
