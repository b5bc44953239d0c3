"""Compute images from nodes of Slicer's scene in memory: healthy reconstruction, in-context prediction and others.

An image under a linear parent keeps its voxels; one under a non-linear parent is resampled to a grid in the world. Each
image of the result is written as an array with the place where a node holds it. Runs in the worker process: no Slicer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Protocol

import numpy as np

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.spatial.grid import Grid
from SynthRegLib.node_images import (
    SAME_MM,
    LinearNodeImage,
    NodeImage,
    WarpedNodeImage,
    merge_layers,
    read_node_image,
    read_scene,
    save_array,
)

_READ, _COMPUTED = 0.05, 0.9
"""Shares of the progress bar."""


class DerivedImages(Protocol):
    """Result of a function of the API. images: output name -> image. report: a record."""

    @property
    def images(self) -> Mapping[str, Image]: ...

    @property
    def report(self) -> Any: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...

    def save(self, folder: Path, images: bool = True) -> dict[str, str]:
        """Write page, picture and record, and the images if wanted."""


Derive = Callable[[Mapping[str, Any], Mapping[str, Any], Progress], DerivedImages]
"""inputs (images by role, and the request's other inputs as paths), parameters, progress -> result."""


def derive_nodes(request: Request, workspace: Path, progress: Progress, derive: Derive) -> TaskOutcome:
    """Compute `derive` on the images of scene.json; write page and record, and for each image X of the result X_array.

    report["placement"][X]: shape and affine (index -> RAS mm), in_world (else under the main image's parent). Inputs
    beside the scene reach `derive` as paths. Raises RequestError (code "segmentation-empty").
    """
    progress(0.0, "reading the images")
    scene, folder = read_scene(request)
    layers = {
        role: [read_node_image(layer, folder, record["kind"], record["name"]) for layer in record["layers"]]
        for role, record in scene["images"].items()
    }
    inputs: dict[str, Any] = {name: path for name, path in request.inputs.items() if name != "scene"}
    inputs |= _world_images(scene["images"], layers)
    result = derive(inputs, request.parameters, sub_progress(progress, _READ, _COMPUTED))
    progress(_COMPUTED, "writing the results")
    outputs, placement = result.save(workspace, images=False), {}
    main = layers[scene["main"]][0]
    for name, image in result.images.items():
        outputs[f"{name}_array"] = f"{name}.npy"
        save_array(_compact_values(image), workspace / f"{name}.npy")
        placement[name] = _placement(image.grid, main)
    report = {**dataclasses.asdict(result.report), "placement": placement}
    return TaskOutcome(outputs, report, list(result.warnings))


def _world_images(records: Mapping[str, Mapping[str, Any]], layers: Mapping[str, list[NodeImage]]) -> dict[str, Image]:
    """Return each image in the world, on its own grid or on that of the role that its record names."""
    grids = {role: images[0].grid for role, images in layers.items() if images}
    for role, record in records.items():
        if not layers[role]:
            raise RequestError(
                f"Found nothing drawn in {record['name']}, expected at least one voxel. Draw it first.",
                code="segmentation-empty",
            )
    return {
        role: merge_layers(layers[role], grids[record["on"] or role], record["name"])
        if record["kind"] == "labels"
        else _resample_scan(layers[role][0], grids[record["on"] or role])
        for role, record in records.items()
    }


def _resample_scan(scan: NodeImage, grid: Grid) -> Image:
    """Return the scan on `grid`; outside it has its lowest value: air in CT, background in MR."""
    if isinstance(scan, LinearNodeImage) and grid.same_as(scan.grid, SAME_MM):
        return scan.resampled(grid)
    low = scan.image.data.min()
    shifted = Image(scan.image.data - low, scan.image.grid, "scalar", scan.image.name)
    if isinstance(scan, WarpedNodeImage):
        resampled = WarpedNodeImage(shifted, scan.grid, scan.displacement_mm).resampled(grid)
    else:
        resampled = LinearNodeImage(shifted, scan.parent).resampled(grid)
    return Image(resampled.data + low, grid, "scalar", resampled.name)


def _compact_values(image: Image) -> np.ndarray:
    """Return (I, J, K) values; labels in few bytes, as segmentations are redrawn often."""
    values = image.data[0].numpy()
    if image.kind == "scalar":
        return values
    return values.astype(np.uint8 if values.min() >= 0 and values.max() < 256 else np.int32)


def _placement(grid: Grid, main: NodeImage) -> dict[str, Any]:
    """Return where a result lies: under the main image's parent if its voxels are parallel and as large, else in the
    world."""
    under = isinstance(main, LinearNodeImage) and np.allclose(
        grid.affine[:3, :3], main.grid.affine[:3, :3], atol=SAME_MM
    )
    affine = np.linalg.inv(main.parent) @ grid.affine if under else grid.affine
    return {"shape": list(grid.shape), "affine": affine.tolist(), "in_world": not under}
