"""Write the nodes of a registration to the files that registration_task reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from SynthRegLib.labels import numbering
from SynthRegLib.node_geometry import (
    MAX_POINTS,
    Lattice,
    between,
    ijk_to_ras,
    mapped,
    parent_matrix,
    transform_lattice,
    world_lattice,
)
from SynthRegLib.nodes import SCENE, Record, Steps, write_image_node, write_label_layers, write_points
from SynthRegLib.registration_inputs import RegistrationNodes

_INITIAL_POINTS = 30_000


def write_scene(nodes: RegistrationNodes, folder: Path) -> Generator[None, None, dict[str, str]]:
    """Write all `nodes` to `folder`; return the inputs of a `register_nodes` request."""
    record: dict[str, Any] = {"names": {role: node.GetName() for role, node in nodes.given().items()}}
    for role, target in (("fixed", "forward"), ("moving", "inverse")):
        node = getattr(nodes, role)
        record[role] = yield from write_image_node(node, folder, role)
        record[target] = yield from write_target_lattice(node, folder, target)
    for kind in ("mask", "labels"):
        pair = [getattr(nodes, f"{side}_{kind}") for side in ("fixed", "moving")]
        numbers = numbering(*pair)
        for side, node in zip(("fixed", "moving"), pair):
            if node is not None:
                name = f"{side}_{kind}"
                record[name] = yield from write_label_layers(node, numbers, folder, name)
    for role in ("fixed_landmarks", "moving_landmarks"):
        if getattr(nodes, role) is not None:
            record[role] = f"{role}.csv"
            write_landmarks(getattr(nodes, role), folder / record[role])
            yield
    if nodes.initial_transform is not None:
        record["initial_transform"] = _write_initial(nodes, folder)
        yield
    (folder / SCENE).write_text(json.dumps(record), encoding="utf-8")
    return {"scene": str(folder / SCENE)}


def write_target_lattice(
    volume: slicer.vtkMRMLVolumeNode,
    folder: Path,
    name: str,
    home: slicer.vtkMRMLTransformableNode | None = None,
    most: int = MAX_POINTS,
) -> Steps:
    """Write the grid of the transform node that leads to `volume`, in the volume's own space and in the world. home: as
    in nodes.write_image_node. most: largest number of points."""
    home = home or volume
    lattice = transform_lattice(Lattice(volume.GetImageData().GetDimensions(), ijk_to_ras(volume)), most=most)
    record: Record = {**lattice.to_json(), "world": None}
    if parent_matrix(home) is None:
        record["world"] = f"{name}_world.npy"
        yield from write_points(between(home.GetParentTransformNode(), None), lattice, folder / record["world"])
    return record


def write_landmarks(markups: slicer.vtkMRMLMarkupsFiducialNode, path: Path) -> None:
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
