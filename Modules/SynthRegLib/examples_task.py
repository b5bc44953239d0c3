"""Write pairs of nodes as a folder of examples in the world: images/, labels/ or outputs/, and the label names.

Runs in the worker process: no Slicer.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.example_pairs import LABEL_NAMES_FILE
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome
from SynthRegLib.node_images import SAME_MM, LinearNodeImage, NodeImage, merge_layers, read_node_image, read_scene


def examples_nodes(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Write the pairs of scene.json, with the roles examples/NAME/input and examples/NAME/output."""
    scene, folder = read_scene(request)
    images = scene["images"]
    names = list(dict.fromkeys(role.split("/")[1] for role in images))
    labels = all(images[f"examples/{name}/output"]["kind"] == "labels" for name in names)
    outputs = {}
    for n, name in enumerate(names):
        progress(n / len(names), f"example {n + 1} of {len(names)}")
        records = [images[f"examples/{name}/{role}"] for role in ("input", "output")]
        (image,), output = (
            [read_node_image(layer, folder, record["kind"]) for layer in record["layers"]] for record in records
        )
        if not output:
            raise RequestError(
                f"Found nothing drawn in {records[1]['name']}, expected at least one voxel. Draw it, or uncheck the "
                "row.",
                code="segmentation-empty",
            )
        resampled = _labels(output, image) if labels else output[0].resampled(output[0].grid)
        pair = {"images": image.resampled(image.grid), "labels" if labels else "outputs": resampled}
        for subfolder, volume in pair.items():
            (workspace / subfolder).mkdir(exist_ok=True)
            outputs[f"{subfolder}_{n}"] = f"{subfolder}/{name}.nrrd"
            write_image(volume, workspace / outputs[f"{subfolder}_{n}"], derived=False)
    if (folder / LABEL_NAMES_FILE).exists():
        outputs["legend"] = LABEL_NAMES_FILE
        shutil.copy(folder / LABEL_NAMES_FILE, workspace / LABEL_NAMES_FILE)
    return TaskOutcome(outputs, {"names": names, "labels": labels})


def _labels(layers: list[NodeImage], image: NodeImage) -> Image:
    """Return the label map on the image's grid if their voxels agree in size and direction or segments overlap; a
    single layer with other voxels keeps its grid."""
    grid = layers[0].grid
    alike = np.allclose(grid.affine[:3, :3], image.grid.affine[:3, :3], atol=SAME_MM)
    single = len(layers) == 1 and isinstance(layers[0], LinearNodeImage)
    return merge_layers(layers, grid if single and not alike else image.grid)
