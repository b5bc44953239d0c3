"""The task of the worker that registers the items of a sequence node: what SynthRegisterLib.series wrote is brought to
the world, registered by the backend's own task, and each frame's result is brought back into the nodes' own spaces.

A frame's transform node holds what scene_task says of `forward`, with the frame in place of the moving image. Runs in
the worker process: no Slicer here.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from SlicerSynthReg.report.sequence import FAILED
from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.tasks.table import Task
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.volume import VolumeError
from SlicerSynthReg.volume.write import write_volume
from SynthRegLib.filenames import file_name
from SynthRegLib.placed import Bent, Placed
from SynthRegLib.scene_task import displacements
from SynthRegLib.worldfiles import as_vtk, merged, read_placed

_READ, _SHARE = 0.05, 0.8


def register_frames(request: Request, workspace: Path, progress: Progress, register: Task) -> TaskOutcome:
    """`register` on the world's frames; for each frame N that it registered, moved_N and forward_N as .npy files."""
    progress(0.0, "reading the frames")
    folder = Path(request.inputs["scene"]).parent
    scene = json.loads(Path(request.inputs["scene"]).read_text(encoding="utf-8"))
    world = workspace / "world" / file_name(scene["name"])
    world.mkdir(parents=True)
    for n, record in enumerate(scene["frames"]):
        path = world / f"{n:04d}.nrrd"
        try:
            frame = read_placed(record, folder, "scalar")
            write_volume(frame.seen(frame.grid), path, derived=False)
        except VolumeError:  # the backend finds the same fault, tells of it and goes on
            shutil.copy(folder / record["file"], path)
    fixed = read_placed(scene["fixed"] or scene["frames"][scene["home"]], folder, "scalar")
    inputs = {"sequence": str(world)}
    if scene["fixed"] is not None:
        inputs["fixed"] = str(world.parent / f"{file_name(scene['fixed_name'])}.nrrd")
        write_volume(fixed.seen(fixed.grid), inputs["fixed"], derived=False)
    if scene["fixed_mask"] is not None:
        layers = [read_placed(layer, folder, "labels") for layer in scene["fixed_mask"]]
        inputs["fixed_mask"] = str(world.parent / "fixed_mask.nrrd")
        write_volume(merged(layers, fixed.grid), inputs["fixed_mask"], derived=False)
    if scene["fixed_landmarks"]:
        inputs["fixed_landmarks"] = str(folder / scene["fixed_landmarks"])
    inner = Request("sequence", inputs, request.outputs, request.parameters)
    outcome = register(inner, workspace, lambda share, text: progress(_READ + (_SHARE - _READ) * share, text))
    shutil.rmtree(world.parent)
    outputs = dict(outcome.outputs)
    rows = [row["frame"] for row in outcome.report["frames"] if row["status"] != FAILED]
    for done, n in enumerate(rows):
        progress(_SHARE + (1 - _SHARE) * done / len(rows), "placing the results")
        moving = read_placed(scene["frames"][n], folder, "scalar")
        outputs |= _arrays(n, scene, folder, workspace, fixed, moving, outputs[f"frame_{n:03d}"])
    bent = isinstance(fixed, Bent)
    own = fixed.grid if bent else fixed.image.grid
    placement = {
        "forward": {key: scene["forward"][key] for key in ("shape", "affine")},
        "fixed": {"shape": list(own.shape), "affine": own.affine.tolist(), "in_world": bent},
    }
    return TaskOutcome(outputs, {**outcome.report, "placement": placement}, outcome.warnings)


def _arrays(
    n: int, scene: dict, folder: Path, workspace: Path, fixed: Placed, moving: Placed, file: str
) -> dict[str, str]:
    forward = read_transform(workspace / file)
    np.save(workspace / f"moved_{n:03d}.npy", as_vtk(moving.seen(fixed.grid, forward).data[0].numpy()))
    moves = displacements(scene["forward"], folder, fixed, forward, moving)
    np.save(workspace / f"forward_{n:03d}.npy", moves)
    return {f"{name}_{n:03d}_array": f"{name}_{n:03d}.npy" for name in ("moved", "forward")}
