"""Write nodes to the files that the worker reads, in pieces small enough for the event loop.

Long functions are generators, so that the caller serves events between two steps. Voxels are written uncompressed,
without a copy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from SlicerSynthReg.io.lps import flip_affine
from SynthRegLib.labels import Layer, layers, numbering
from SynthRegLib.node_geometry import Lattice, between, ijk_to_ras, mapped_lattice, parent_matrix, world_lattice

SCENE = "scene.json"
_PIECE_BYTES = 1 << 20
_NRRD_TYPES = {"i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "f4": "float", "f8": "double"}
_NRRD_TYPES.update({f"u{n}": f"uint{8 * n}" for n in (1, 2, 4, 8)})

Record = dict
Steps = Generator[None, None, Record]


class NodeChanged(Exception):
    """A node was modified while it was read."""


def write_nodes(
    nodes: Mapping[str, Any],
    folder: Path,
    main: str,
    on: Mapping[str, str] | None = None,
    numbers: Mapping[str, int] | None = None,
    parts: Mapping[str, tuple[int, int]] | None = None,
) -> Generator[None, None, dict[str, str]]:
    """Write volumes, label maps and segmentations by role; return the inputs of a request to image_task.derive_nodes.

    A role is the backend's name of the input; examples/NAME/input and examples/NAME/output are pairs. main: role whose
    parent the results get. on: role -> role on whose grid it is resampled; others keep their grid. numbers: segment
    name -> label; None numbers all segments. parts: role of a volume -> range of its slices (k) that are written.
    """
    labelled = [node for node in nodes.values() if is_labels(node)]
    given = dict(numbering(*labelled) if numbers is None else numbers)
    images = {}
    for n, (role, node) in enumerate(nodes.items()):
        if is_labels(node):
            written = yield from write_label_layers(node, given, folder, f"node{n}")
        else:
            written = [(yield from write_image_node(node, folder, f"node{n}", (parts or {}).get(role)))]
        kind = "labels" if is_labels(node) else "scalar"
        images[role] = {"name": node.GetName(), "kind": kind, "layers": written, "on": (on or {}).get(role)}
    (folder / SCENE).write_text(json.dumps({"main": main, "images": images}), encoding="utf-8")
    return {"scene": str(folder / SCENE)}


def file_name(name: str) -> str:
    """Return a node's name as the base name of a file."""
    kept = "".join(c if c.isalnum() or c in " -_." else "_" for c in name).strip(" .")
    return kept[:80] or "image"


def is_labels(node: slicer.vtkMRMLNode) -> bool:
    return bool(node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLLabelMapVolumeNode"))


def write_image_node(
    node: slicer.vtkMRMLVolumeNode,
    folder: Path,
    name: str,
    part: tuple[int, int] | None = None,
    home: slicer.vtkMRMLTransformableNode | None = None,
) -> Steps:
    """Write the voxels as `name`.nrrd and return the record of their geometry. part: see write_nodes. home: node whose
    parent transform counts, if not the node itself (an item of a sequence lies where the sequence is shown)."""
    layer = Layer(node.GetImageData(), ijk_to_ras(node), None)
    return (yield from _write_layer(home or node, _slab(layer, *part) if part else layer, folder, name))


def write_image_like(node: slicer.vtkMRMLVolumeNode, folder: Path, name: str, like: Record) -> Steps:
    """Write a volume with the geometry of the record `like`."""
    yield from _write_nrrd(node.GetImageData(), ijk_to_ras(node), folder / f"{name}.nrrd", node.GetName())
    return {**like, "file": f"{name}.nrrd"}


def _slab(layer: Layer, low: int, high: int) -> Layer:
    """Return the slices from `low` to `high` - 1, on the same memory."""
    i, j, _k = layer.image.GetDimensions()
    voxels = vtk_to_numpy(layer.image.GetPointData().GetScalars())
    image = vtk.vtkImageData()
    image.SetDimensions(i, j, high - low)
    image.GetPointData().SetScalars(numpy_to_vtk(voxels[low * i * j : high * i * j]))
    affine = layer.affine.copy()
    affine[:3, 3] += low * affine[:3, 2]
    return Layer(image, affine, layer.numbers)


def write_label_layers(
    node: slicer.vtkMRMLDisplayableNode, numbers: Mapping[str, int], folder: Path, name: str
) -> Generator[None, None, list[Record]]:
    """Write a label map, or the segments named in `numbers`: one file and record per layer."""
    written = []
    for n, layer in enumerate(layers(node, numbers)):
        written.append((yield from _write_layer(node, layer, folder, f"{name}_{n}")))
    return written


def _write_layer(node: slicer.vtkMRMLTransformableNode, layer: Layer, folder: Path, name: str) -> Steps:
    """Write the image and its geometry in the world, as node_images reads it."""
    yield from _write_nrrd(layer.image, layer.affine, folder / f"{name}.nrrd", node.GetName())
    record: Record = {"file": f"{name}.nrrd", "parent": None, "bent": None}
    if layer.numbers is not None:
        record["numbers"] = {str(value): number for value, number in layer.numbers.items()}
    matrix = parent_matrix(node)
    if matrix is not None:
        record["parent"] = matrix.tolist()
        return record
    own = Lattice(tuple(layer.image.GetDimensions()), layer.affine)
    world = world_lattice(own, between(node.GetParentTransformNode(), None))
    yield from write_points(between(None, node.GetParentTransformNode()), world, folder / f"{name}_to_own.npy")
    record["bent"] = {**world.to_json(), "to_own": f"{name}_to_own.npy"}
    return record


def write_points(transform: vtk.vtkAbstractTransform, lattice: Lattice, path: Path) -> Iterator[None]:
    """Write the mapped points of `lattice` as a .npy file of (N, 3) float64, piece by piece."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float64)), "fortran_order": False}
    with open(path, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {**header, "shape": (lattice.count, 3)})
        for piece in mapped_lattice(transform, lattice):
            stream.write(piece.tobytes())
            yield


def _write_nrrd(image: vtk.vtkImageData, affine: np.ndarray, path: Path, name: str) -> Iterator[None]:
    """Write raw NRRD in LPS mm. Raises NodeChanged if the image is modified meanwhile."""
    scalars = image.GetPointData().GetScalars()
    voxels = vtk_to_numpy(scalars)
    lps = flip_affine(affine)
    vectors = " ".join(f"({','.join(repr(float(x)) for x in lps[:3, axis])})" for axis in range(3))
    header = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[voxels.dtype.str[1:]]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in image.GetDimensions())}",
        f"space directions: {vectors}",
        "kinds: domain domain domain",
        f"endian: {sys.byteorder}",
        "encoding: raw",
        f"space origin: ({','.join(repr(float(x)) for x in lps[:3, 3])})",
    ]
    before = scalars.GetMTime()
    step = max(1, _PIECE_BYTES // voxels.itemsize)
    with open(path, "wb", buffering=0) as stream:
        stream.write(("\n".join(header) + "\n\n").encode())
        for start in range(0, len(voxels), step):
            stream.write(memoryview(voxels[start : start + step]))
            yield
            if scalars.GetMTime() != before:
                raise NodeChanged(
                    _(
                        "Found that {name} was modified while it was read, expected no change. Press Apply again."
                    ).format(name=name)
                )
