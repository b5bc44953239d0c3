"""Any task of the backend on images of Slicer's scene: what nodes.write_nodes wrote is brought to the world, the task
runs there, and each image that it makes is told as an array and the place where a node holds it.

A straight parent only changes where the voxels lie; an image under a bending one is seen on a grid in the world. Runs
in the worker process: no Slicer here.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from SlicerSynthReg.request import Progress, Request, RequestError, TaskOutcome
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks.table import Task
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SynthRegLib.filenames import file_name
from SynthRegLib.placed import Bent, Placed, Straight
from SynthRegLib.worldfiles import as_vtk, merged, read_placed

_READ, _SHARE = 0.05, 0.9
_SAME = 1e-6
"""mm, of a voxel's edges."""


def derive_nodes(request: Request, workspace: Path, progress: Progress, name: str, task: Task) -> TaskOutcome:
    """`task`, called `name` in the backend's table, on the images of scene.json. Its own files stay; for each image X
    among them there is X_array, a .npy file as VTK stores it, and in report["placement"][X] shape and affine (index ->
    RAS mm), in_world (else under the main image's parent) and kind. Inputs beside the scene reach it as they are."""
    progress(0.0, "reading the images")
    folder = Path(request.inputs["scene"]).parent
    scene = json.loads(Path(request.inputs["scene"]).read_text(encoding="utf-8"))
    images = scene["images"]
    placed = {role: [read_placed(one, folder, record["kind"]) for one in record["layers"]]
              for role, record in images.items()}  # fmt: skip
    world = workspace / "world"
    inputs = {**request.inputs, **_world_inputs(images, placed, world)}
    del inputs["scene"]
    inner = Request(name, inputs, request.outputs, request.parameters)
    outcome = task(inner, workspace, lambda share, text: progress(_READ + (_SHARE - _READ) * share, text))
    shutil.rmtree(world)
    progress(_SHARE, "placing the results")
    outputs, placement = dict(outcome.outputs), {}
    main = placed[scene["main"]][0]
    for output, file in outcome.outputs.items():
        if file.endswith(".nii.gz"):
            made = read_volume(workspace / file, _kind(workspace / file), allow_degenerate=True)
            outputs[f"{output}_array"] = f"{output}.npy"
            np.save(workspace / f"{output}.npy", as_vtk(_values(made)))
            placement[output] = _place(made.grid, main)
    return TaskOutcome(outputs, {**outcome.report, "placement": placement}, outcome.warnings)


def _world_inputs(
    images: Mapping[str, Mapping[str, Any]], placed: Mapping[str, list[Placed]], world: Path
) -> dict[str, str]:
    """Each image as a file in a folder of its own, named as its node; tables of those whose role is a cell."""
    inputs: dict[str, str] = {}
    tables: dict[str, dict[str, dict[str, str]]] = {}
    grids: dict[str, Grid] = {role: layers[0].grid for role, layers in placed.items() if layers}
    for n, (role, record) in enumerate(images.items()):
        if not placed[role]:
            raise RequestError(f"Found nothing drawn in {record['name']}, expected at least one voxel. Draw it first.")
        path = world / str(n) / f"{file_name(record['name'])}.nrrd"
        path.parent.mkdir(parents=True)
        grid = grids[record["on"] or role]
        write_volume(_seen(placed[role], record["kind"], grid), path, derived=False)
        table, *cell = role.split("/")
        if cell:
            tables.setdefault(table, {}).setdefault(cell[0], {})[cell[1]] = str(path)
        else:
            inputs[role] = str(path)
    for table, rows in tables.items():
        inputs[table] = str(world / f"{table}.csv")
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        with open(inputs[table], "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["name", *columns], restval="")
            writer.writeheader()
            writer.writerows({"name": name, **row} for name, row in rows.items())
    return inputs


def _seen(layers: list[Placed], kind: str, grid: Grid) -> Volume:
    """On `grid`. Where a bent scan has no voxels, it has its lowest value: air in CT, nothing in MR."""
    if kind == "labels":
        return merged(layers, grid)
    [image] = layers
    if isinstance(image, Straight) and grid.same_as(image.grid, _SAME):
        return image.seen(grid)
    low = image.image.data.min()
    lifted = Volume(image.image.data - low, image.image.grid, "scalar", image.image.name)
    over = Bent(lifted, image.grid, image.moves_mm) if isinstance(image, Bent) else Straight(lifted, image.parent)
    seen = over.seen(grid)
    return Volume(seen.data + low, grid, "scalar", seen.name)


def _kind(path: Path) -> str:
    """The backend writes labels as whole numbers and scans as float32."""
    return "labels" if nibabel.load(path).get_data_dtype().kind in "iu" else "scalar"


def _values(made: Volume) -> np.ndarray:
    """(I, J, K); labels in few bytes, as segmentations are redrawn often."""
    values = made.data[0].numpy()
    if made.kind == "scalar":
        return values
    return values.astype(np.uint8 if values.min() >= 0 and values.max() < 256 else np.int32)


def _place(grid: Grid, main: Placed) -> dict[str, Any]:
    """Under the main image's parent where the voxels are parallel to its own and as large, else in the world."""
    under = isinstance(main, Straight) and np.allclose(grid.affine[:3, :3], main.grid.affine[:3, :3], atol=_SAME)
    affine = np.linalg.inv(main.parent) @ grid.affine if under else grid.affine
    return {"shape": list(grid.shape), "affine": affine.tolist(), "in_world": not under}
