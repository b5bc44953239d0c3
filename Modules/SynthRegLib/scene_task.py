"""The task of the worker that knows where Slicer's nodes lie: what scene.py wrote is brought to the world, registered
by the backend's own task, and the results are brought back into the nodes' own spaces.

T is the backend's transform, fixed world -> moving world; F and M take the fixed and the moving node's own RAS mm to
the world. The transform nodes hold, as "from parent" displacements:
    forward, put under the fixed node's parent:   x -> M^-1(T(F(x)))
    inverse, put under the moving node's parent:  x -> F^-1(T^-1(M(x)))
so that the moving volume placed under `forward` is where the moved image is, whatever lies above either node; each is
the other's inverse; and saved beside the volumes' files they fit these. Runs in the worker process: no Slicer here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.tasks.table import Task
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform, write_transform
from SlicerSynthReg.volume.write import write_volume
from SynthRegLib.filenames import file_name
from SynthRegLib.placed import Bent, Placed, Straight
from SynthRegLib.worldfiles import as_vtk, merged, read_placed

_POINTS_AT_ONCE = 1_000_000
_SHARE = 0.9


def register_nodes(request: Request, workspace: Path, progress: Progress, register: Task) -> TaskOutcome:
    """`register` on the world's images; .npy files for the nodes beside its own results."""
    folder = Path(request.inputs["scene"]).parent
    scene = json.loads(Path(request.inputs["scene"]).read_text(encoding="utf-8"))
    fixed, moving = (read_placed(scene[role], folder, "scalar") for role in ("fixed", "moving"))
    world = workspace / "world"
    world.mkdir()
    inputs = _world_inputs(scene, folder, world, fixed, moving)
    names = {role: f"{file_name(scene['names'][role])}.nrrd" for role in ("fixed", "moving")}
    for role, placed in (("fixed", fixed), ("moving", moving)):
        (world / role).mkdir()
        inputs[role] = str(world / role / names[role])
        write_volume(placed.seen(placed.grid), inputs[role], derived=False)
    inner = Request("register", inputs, request.outputs, request.parameters)
    outcome = register(inner, workspace, lambda share, text: progress(_SHARE * share, text))
    progress(_SHARE, "placing the results")
    forward, inverse = (read_transform(workspace / outcome.outputs[name]) for name in ("forward", "inverse"))
    outputs = dict(outcome.outputs)
    moved = moving.seen(fixed.grid, forward)
    arrays = {"moved": moved.data[0].numpy()}
    for name, kind in (("jacobian", "scalar"), ("moved_labels", "labels")):
        if name in outputs:
            arrays[name] = read_volume(workspace / outputs[name], kind, allow_degenerate=True).data[0].numpy()
    for name, values in arrays.items():
        outputs[f"{name}_array"] = f"{name}.npy"
        np.save(workspace / f"{name}.npy", as_vtk(values))
    for name, transform, source, target in (("forward", forward, fixed, moving), ("inverse", inverse, moving, fixed)):
        progress(_SHARE + (0.02 if name == "forward" else 0.06), "placing the results")
        outputs[f"{name}_array"] = f"{name}.npy"
        np.save(workspace / f"{name}.npy", displacements(scene[name], folder, source, transform, target))
    shutil.rmtree(world)
    placement = {name: {key: scene[name][key] for key in ("shape", "affine")} for name in ("forward", "inverse")}
    bent = isinstance(fixed, Bent)
    own = fixed.grid if bent else fixed.image.grid
    placement["fixed"] = {"shape": list(own.shape), "affine": own.affine.tolist(), "in_world": bent}
    return TaskOutcome(outputs, {**outcome.report, "placement": placement}, outcome.warnings)


def _world_inputs(scene: Mapping[str, Any], folder: Path, world: Path, fixed: Placed, moving: Placed) -> dict[str, str]:
    """Labels and masks on their image's grid (of the moving image on their own, where that is one and straight, so
    that they are interpolated once), landmarks as they are, the start as a transform file."""
    inputs = {}
    for role, image in (("fixed", fixed), ("moving", moving)):
        for kind in ("mask", "labels"):
            name = f"{role}_{kind}"
            if name in scene:
                inputs[name] = str(world / f"{name}.nrrd")
                layers = [read_placed(layer, folder, "labels") for layer in scene[name]]
                own = role == "moving" and len(layers) == 1 and isinstance(layers[0], Straight)
                write_volume(merged(layers, layers[0].grid if own else image.grid), inputs[name], derived=False)
        if f"{role}_landmarks" in scene:
            inputs[f"{role}_landmarks"] = str(folder / scene[f"{role}_landmarks"])
    if "initial_transform" in scene:
        record = scene["initial_transform"]
        grid = Grid(tuple(record["shape"]), np.array(record["affine"]))
        start = best_affine(_lattice_points(grid, 0, grid.voxel_count), np.load(folder / record["moving"]))
        inputs["initial_transform"] = str(world / "initial.tfm")
        write_transform(start, inputs["initial_transform"], fixed.grid, moving.grid)
    return inputs


def best_affine(here: np.ndarray, there: np.ndarray) -> Affine:
    """Least squares; (N, 3) both."""
    homogeneous = np.concatenate([here, np.ones((len(here), 1))], axis=1)
    rows = np.linalg.lstsq(homogeneous, there, rcond=None)[0]
    return Affine(np.vstack([rows.T, [0.0, 0.0, 0.0, 1.0]]))


def displacements(
    record: Mapping[str, Any], folder: Path, source: Placed, transform: Transform, target: Placed
) -> np.ndarray:
    """(K, J, I, 3) float32, RAS mm in the source node's own space: from each point of the node's lattice to where it
    goes in the target node's own space."""
    grid = Grid(tuple(record["shape"]), np.array(record["affine"]))
    world = np.empty((0, 3)) if record["world"] is None else np.load(folder / record["world"], mmap_mode="r")
    moves = np.empty((grid.voxel_count, 3), dtype=np.float32)
    for start in range(0, grid.voxel_count, _POINTS_AT_ONCE):
        stop = min(start + _POINTS_AT_ONCE, grid.voxel_count)
        own = _lattice_points(grid, start, stop)
        there = source.to_world(own) if isinstance(source, Straight) else np.array(world[start:stop])
        moves[start:stop] = target.to_own(transform.map_points(there)) - own
    return moves.reshape(*grid.shape[::-1], 3)


def _lattice_points(grid: Grid, start: int, stop: int) -> np.ndarray:
    """(stop - start, 3) RAS mm of the voxels numbered so, i running fastest."""
    return grid.index_to_world(np.stack(np.unravel_index(np.arange(start, stop), grid.shape, order="F"), axis=1))
