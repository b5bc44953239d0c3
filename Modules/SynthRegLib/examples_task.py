"""Pairs of nodes as a set of examples that the backend reads: a folder with images/ and labels/ (or outputs/) in the
world, and what the labels are called. Runs in the worker process: no Slicer here.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from SlicerSynthReg.request import Progress, Request, RequestError, TaskOutcome
from SlicerSynthReg.tasks.context_pairs import LEGEND
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SynthRegLib.placed import Placed, Straight
from SynthRegLib.worldfiles import merged, read_placed

_SAME = 1e-6
"""mm, of a voxel's edges."""


def examples_nodes(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """The pairs of scene.json, as nodes.write_nodes writes the roles examples/NAME/input and examples/NAME/output."""
    folder = Path(request.inputs["scene"]).parent
    images = json.loads(Path(request.inputs["scene"]).read_text(encoding="utf-8"))["images"]
    names = list(dict.fromkeys(role.split("/")[1] for role in images))
    labels = all(images[f"examples/{name}/output"]["kind"] == "labels" for name in names)
    outputs = {}
    for n, name in enumerate(names):
        progress(n / len(names), f"example {n + 1} of {len(names)}")
        both = [images[f"examples/{name}/{role}"] for role in ("input", "output")]
        image, answer = ([read_placed(one, folder, record["kind"]) for one in record["layers"]] for record in both)
        if not answer:
            raise RequestError(
                f"Found nothing drawn in {both[1]['name']}, expected at least one voxel. Draw it, or uncheck the row."
            )
        seen = _labels(answer, image[0]) if labels else answer[0].seen(answer[0].grid)
        for place, volume in (("images", image[0].seen(image[0].grid)), ("labels" if labels else "outputs", seen)):
            (workspace / place).mkdir(exist_ok=True)
            outputs[f"{place}_{n}"] = f"{place}/{name}.nrrd"
            write_volume(volume, workspace / outputs[f"{place}_{n}"], derived=False)
    if (folder / LEGEND).exists():
        outputs["legend"] = LEGEND
        shutil.copy(folder / LEGEND, workspace / LEGEND)
    return TaskOutcome(outputs, {"names": names, "labels": labels})


def _labels(layers: list[Placed], image: Placed) -> Volume:
    """On the image's grid where their voxels are as large and as they lie, or where segments overlap; a single layer of
    other voxels keeps its own."""
    grid = layers[0].grid
    alike = np.allclose(grid.affine[:3, :3], image.grid.affine[:3, :3], atol=_SAME)
    single = len(layers) == 1 and isinstance(layers[0], Straight)
    return merged(layers, grid if single and not alike else image.grid)
