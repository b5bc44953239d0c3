"""Nodes to the files that the worker reads, in pieces small enough for the event loop.

Each function that takes long is a generator: whoever runs it decides how much to do between two events. Voxels are
written as they are (raw NRRD), so no copy of an image is made and nothing is compressed.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from SlicerSynthReg.volume.lps import flip_affine
from SynthRegLib.inputs import RegistrationNodes
from SynthRegLib.labels import Layer, layers, numbering
from SynthRegLib.placement import (
    Lattice,
    between,
    ijk_to_ras,
    mapped,
    mapped_lattice,
    parent_matrix,
    transform_lattice,
    world_lattice,
)

SCENE = "scene.json"
_PIECE_BYTES = 1 << 20
_INITIAL_POINTS = 30_000
_NRRD_TYPES = {"i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "f4": "float", "f8": "double"}
_NRRD_TYPES.update({f"u{n}": f"uint{8 * n}" for n in (1, 2, 4, 8)})

Record = dict
Steps = Generator[None, None, Record]


class NodeChanged(Exception):
    """A node was altered while it was being read."""


def write_scene(nodes: RegistrationNodes, folder: Path) -> Generator[None, None, dict[str, str]]:
    """Write all that `nodes` say to `folder`; returns the inputs of a `register_nodes` request (see scene_task)."""
    record: dict[str, Any] = {"names": {role: node.GetName() for role, node in nodes.given().items()}}
    for role, target in (("fixed", "forward"), ("moving", "inverse")):
        node = getattr(nodes, role)
        record[role] = yield from _written_layer(node, Layer(node.GetImageData(), ijk_to_ras(node), None), folder, role)
        record[target] = yield from _written_target(node, folder, target)
    for kind in ("mask", "labels"):
        pair = [getattr(nodes, f"{side}_{kind}") for side in ("fixed", "moving")]
        numbers = numbering(*pair)
        for side, node in zip(("fixed", "moving"), pair):
            if node is None:
                continue
            written = []
            for n, layer in enumerate(layers(node, numbers)):
                written.append((yield from _written_layer(node, layer, folder, f"{side}_{kind}_{n}")))
            record[f"{side}_{kind}"] = written
    for role in ("fixed_landmarks", "moving_landmarks"):
        if getattr(nodes, role) is not None:
            record[role] = f"{role}.csv"
            _write_landmarks(getattr(nodes, role), folder / record[role])
            yield
    if nodes.initial_transform is not None:
        record["initial_transform"] = _write_initial(nodes, folder)
        yield
    (folder / SCENE).write_text(json.dumps(record), encoding="utf-8")
    return {"scene": str(folder / SCENE)}


def _written_layer(node: slicer.vtkMRMLTransformableNode, layer: Layer, folder: Path, name: str) -> Steps:
    """The image and where it lies in the world, as scene_task reads them."""
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
    yield from _write_points(between(None, node.GetParentTransformNode()), world, folder / f"{name}_to_own.npy")
    record["bent"] = {**world.to_json(), "to_own": f"{name}_to_own.npy"}
    return record


def _written_target(volume: slicer.vtkMRMLVolumeNode, folder: Path, name: str) -> Steps:
    """Where the transform node that leads to `volume` needs its displacements: in the volume's own space, and the same
    points in the world."""
    lattice = transform_lattice(Lattice(volume.GetImageData().GetDimensions(), ijk_to_ras(volume)))
    record: Record = {**lattice.to_json(), "world": None}
    if parent_matrix(volume) is None:
        record["world"] = f"{name}_world.npy"
        yield from _write_points(between(volume.GetParentTransformNode(), None), lattice, folder / record["world"])
    return record


def _write_points(transform: vtk.vtkAbstractTransform, lattice: Lattice, path: Path) -> Iterator[None]:
    """Where the points of `lattice` go, as a .npy file of (N, 3) float64; written as it grows, as one large flush
    would hold the event loop."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float64)), "fortran_order": False}
    with open(path, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {**header, "shape": (lattice.count, 3)})
        for piece in mapped_lattice(transform, lattice):
            stream.write(piece.tobytes())
            yield


def _write_nrrd(image: vtk.vtkImageData, affine: np.ndarray, path: Path, name: str) -> Iterator[None]:
    """Raw NRRD in LPS mm, as Slicer's own writer says it. Raises NodeChanged when the image changes meanwhile."""
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
                    _("Found that {name} changed while it was read, expected it to stay. Press Apply again.").format(
                        name=name
                    )
                )


def _write_landmarks(markups: slicer.vtkMRMLMarkupsFiducialNode, path: Path) -> None:
    """Placed points in the world, with their labels."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["label", "x_RAS", "y_RAS", "z_RAS"])
        for n in range(markups.GetNumberOfControlPoints()):
            if markups.GetNthControlPointPositionStatus(n) == slicer.vtkMRMLMarkupsNode.PositionDefined:
                position = [0.0, 0.0, 0.0]
                markups.GetNthControlPointPositionWorld(n, position)
                table.writerow([markups.GetNthControlPointLabel(n) or str(n + 1), *(repr(x) for x in position)])


def _write_initial(nodes: RegistrationNodes, folder: Path) -> Record:
    """The start, fixed world -> moving world: out of the initial transform into the moving volume's own space, and
    from there to where the moving volume is now. Sampled over the fixed volume; the worker takes the best affine."""
    own = Lattice(nodes.fixed.GetImageData().GetDimensions(), ijk_to_ras(nodes.fixed))
    world = world_lattice(own, between(nodes.fixed.GetParentTransformNode(), None))
    step = max(1, round((world.count / _INITIAL_POINTS) ** (1 / 3)))
    affine = world.affine @ np.diag([step, step, step, 1.0])
    coarse = Lattice(tuple(max(2, -(-n // step)) for n in world.shape), affine)
    points = coarse.points(0, coarse.count)
    there = mapped(between(None, nodes.initial_transform), points)
    there = mapped(between(nodes.moving.GetParentTransformNode(), None), there)
    np.save(folder / "initial.npy", there)
    return {**coarse.to_json(), "moving": "initial.npy"}
