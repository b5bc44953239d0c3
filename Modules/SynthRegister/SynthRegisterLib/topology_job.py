"""Topological change: maps where no smooth deformation explains the difference between fixed and moved image.

The moved image refers to its maps, so that the scene file keeps them together.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib import results
from SynthRegLib.job import JobSteps
from SynthRegLib.node_checks import image_validation_error, parent_validation_error
from SynthRegLib.node_geometry import ijk_to_ras, parent_matrix
from SynthRegLib.node_job import node_job
from SynthRegLib.nodes import write_nodes
from SynthRegLib.results import Added, Loaded, Origin, add_scan, node_placement
from vtk.util.numpy_support import vtk_to_numpy

from SlicerSynthReg.errors import RequestError, WeightsError
from SlicerSynthReg.request import Result
from SlicerSynthReg.weights.registry import Card, read_card
from SlicerSynthReg.weights.selection import TOPOLOGY_MODEL

MAPS = ("outliers", "changes", "stretching", "mismatch")
"""The backend's outputs, each the role SynthReg.NAME of the moved image; the first that was made is shown first."""
DEFAULT_PERCENTILE = 98.0
"""Percentile from which on a new map is shown, as the backend's own default."""
_SPREAD = "SynthReg.Spread"
_PERCENTILES = np.concatenate([np.arange(50.0, 99.0), np.linspace(99.0, 100.0, 101)])
_BRIGHTEST = 99.99


@dataclass(frozen=True)
class Spread:
    """Distribution of a map in the fixed image's foreground of `count` voxels. values: at _PERCENTILES; the last is the
    maximum. peak: number of the maximum's voxel, i running fastest."""

    values: list[float]
    count: int
    peak: int

    def at(self, percentile: float) -> float:
        return float(np.interp(percentile, _PERCENTILES, self.values))


@dataclass(eq=False)
class TopologyNodes:
    """maps: the computed ones of MAPS."""

    moved: slicer.vtkMRMLScalarVolumeNode
    maps: dict[str, slicer.vtkMRMLScalarVolumeNode]
    warnings: list[str]


def map_titles() -> dict[str, str]:
    """Return the title of each map."""
    return {
        "outliers": _("Topological change relative to controls"),
        "changes": _("Topological change (lesion, resection)"),
        "stretching": _("Deformation (squared log-Jacobian)"),
        "mismatch": _("Intensity mismatch (Li and Wyatt)"),
    }


def card() -> Card | None:
    """Return the card of the network; None if it is missing or unreadable."""
    try:
        return read_card(TOPOLOGY_MODEL)
    except WeightsError:
        return None


def topology_validation_error(
    known: Card | None, fixed: slicer.vtkMRMLNode | None, moved: slicer.vtkMRMLNode | None
) -> str:
    """Return what is missing or invalid, or "". known: see card."""
    if known is None:
        return _(
            "Found no network for topological change ({name}), expected it to be installed. Copy it into the folder "
            "SYNTHREG_WEIGHTS, or train one with: synthreg train topology."
        ).format(name=TOPOLOGY_MODEL)
    if fixed is None or moved is None:
        return _("Register two images, or select a result.")
    faults = (check(node) for node in (fixed, moved) for check in (image_validation_error, parent_validation_error))
    return next((found for found in faults if found), "")


def topology_job(
    fixed: slicer.vtkMRMLScalarVolumeNode,
    moved: slicer.vtkMRMLScalarVolumeNode,
    controls: str = "",
    device: str = "auto",
) -> JobSteps:
    """Return the steps of the computation; its value is TopologyNodes. controls: folder of images of healthy controls,
    aligned with the fixed image in the world. Raises RequestError."""
    if wrong := topology_validation_error(card(), fixed, moved):
        raise RequestError(wrong)

    def write(folder: Path) -> Generator[None, None, dict[str, str]]:
        inputs = yield from write_nodes({"fixed": fixed, "moving": moved}, folder, "fixed")
        return {**inputs, "controls": controls} if controls else inputs

    return node_job("topology_nodes", write, {"device": device}, _load, lambda loaded: _place(fixed, moved, *loaded))


def _load(result: Result) -> tuple[Loaded, dict[str, Spread]]:
    loaded = results.load(result, MAPS)
    return loaded, {name: _spread(vtk_to_numpy(array)) for name, array in loaded.arrays.items()}


def _spread(values: np.ndarray) -> Spread:
    """Set the background, zero in the file, to the minimum if that is negative, so that no threshold shows it."""
    inside = values != 0
    found = values[inside] if inside.any() else values[:1]
    if found.min() < 0:
        values[~inside] = found.min()
    return Spread(np.percentile(found, _PERCENTILES).tolist(), int(inside.sum()), int(values.argmax()))


def _place(
    fixed: slicer.vtkMRMLScalarVolumeNode,
    moved: slicer.vtkMRMLScalarVolumeNode,
    loaded: Loaded,
    spreads: dict[str, Spread],
) -> Generator[None, None, TopologyNodes]:
    """Add the maps to the scene; none of them stays after an error or a cancellation."""
    makers = {name: partial(_map, name, fixed, moved, loaded, spreads[name]) for name in MAPS if name in loaded.arrays}
    origin = Origin({"fixed": fixed, "moved": moved}, fixed, str(loaded.report.get("model", "")), loaded.page)
    placed = yield from results.add_all(makers, origin)
    for name in MAPS:
        moved.SetNodeReferenceID(f"SynthReg.{name}", placed[name].GetID() if name in placed else None)
    return TopologyNodes(moved, placed, loaded.warnings)


def _map(
    name: str, fixed: Any, moved: Any, loaded: Loaded, spread: Spread, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    title = _("{map}: {moved}").format(map=map_titles()[name], moved=moved.GetName())
    low, high = spread.at(DEFAULT_PERCENTILE), spread.at(_BRIGHTEST)
    reach = max(1.5 * (high - low), 1e-6)
    window = (reach, high - reach / 2)
    node = add_scan(title, loaded.arrays[name], node_placement(loaded, name, fixed), added, window=window)
    node.SetAttribute(_SPREAD, json.dumps(asdict(spread)))
    if node.GetDisplayNode() is not None:
        iron = slicer.vtkMRMLColorLogic.GetColorTableNodeID(slicer.vtkMRMLColorTableNode.Iron)
        node.GetDisplayNode().SetAndObserveColorNodeID(iron)
    set_percentile_threshold(node, DEFAULT_PERCENTILE)
    return node


def set_percentile_threshold(node: slicer.vtkMRMLScalarVolumeNode, percentile: float) -> str:
    """Show a map above this percentile of the foreground; return a text with the shown volume."""
    spread = _spread_of(node)
    cut, top = spread.at(percentile), spread.values[-1]
    display = node.GetDisplayNode()
    if display is not None:
        display.SetAutoThreshold(False)
        display.SetThreshold(float(np.nextafter(np.float32(cut), np.float32(np.inf))), max(cut, top) + 1.0)
        display.SetApplyThreshold(True)
    if cut >= top:
        return _("Nothing is shown: all values are equal.")
    share = 1 - percentile / 100
    return _("Shown: {ml:.1f} ml, the highest {share:.1f} % of the fixed image (values above {cut:.3g})").format(
        ml=share * spread.count * _voxel_ml(node), share=100 * share, cut=cut
    )


def peak(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[float, float, float]:
    """Return the position of the maximum, RAS mm in the world."""
    index = np.unravel_index(_spread_of(node).peak, node.GetImageData().GetDimensions(), order="F")
    return tuple((_to_world(node) @ [*index, 1.0])[:3])


def _spread_of(node: slicer.vtkMRMLScalarVolumeNode) -> Spread:
    return Spread(**json.loads(node.GetAttribute(_SPREAD)))


def _to_world(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """Return the 4x4 matrix index -> world, without non-linear transforms."""
    matrix = parent_matrix(node)
    return ijk_to_ras(node) if matrix is None else matrix @ ijk_to_ras(node)


def _voxel_ml(node: slicer.vtkMRMLScalarVolumeNode) -> float:
    return abs(float(np.linalg.det(_to_world(node)[:3, :3]))) / 1000
