"""Where no smooth warp explains the difference between a fixed image and what was registered to it: maps in the scene.

The moved image refers to its maps, so that the scene's file keeps them together.
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
from SynthRegLib.checks import fault_of_image, fault_of_parent
from SynthRegLib.job import Work
from SynthRegLib.nodes import write_nodes
from SynthRegLib.placement import ijk_to_ras, parent_matrix
from SynthRegLib.results import Added, Loaded, Origin, add_scan, place_of
from SynthRegLib.settings import Device
from SynthRegLib.work import nodes_work
from vtk.util.numpy_support import vtk_to_numpy

from SlicerSynthReg.request import RequestError, Result
from SlicerSynthReg.tasks.model import TOPOLOGY_MODEL
from SlicerSynthReg.weights.registry import Card, WeightsError, read_card

MAPS = ("outliers", "changes", "stretching", "mismatch")
"""The backend's outputs, each the role SynthReg.NAME of the moved image; the first that was made is shown first."""
MARKED_FROM = 98.0
"""Percentile from which on a new map is shown, as the backend's own default."""
_SPREAD = "SynthReg.Spread"
_PERCENTILES = np.concatenate([np.arange(50.0, 99.0), np.linspace(99.0, 100.0, 101)])
_BRIGHTEST = 99.99


@dataclass(frozen=True)
class Spread:
    """How a map's values lie over the fixed image's foreground, `count` voxels. values: at _PERCENTILES, the last is
    the highest. peak: the voxel that has it, counted with i running fastest."""

    values: list[float]
    count: int
    peak: int

    def at(self, percentile: float) -> float:
        return float(np.interp(percentile, _PERCENTILES, self.values))


@dataclass(eq=False)
class Found:
    """maps: of MAPS, those that were made."""

    moved: slicer.vtkMRMLScalarVolumeNode
    maps: dict[str, slicer.vtkMRMLScalarVolumeNode]
    warnings: list[str]


def words() -> dict[str, str]:
    """Map -> what it is called."""
    return {
        "outliers": _("Unusual among the controls"),
        "changes": _("What no warp explains"),
        "stretching": _("Stretching (squared log of the Jacobian)"),
        "mismatch": _("Intensity mismatch (Li and Wyatt)"),
    }


def card() -> Card | None:
    """Of the network that tells; None where it is not installed, or cannot be read."""
    try:
        return read_card(TOPOLOGY_MODEL)
    except WeightsError:
        return None


def fault(known: Card | None, fixed: slicer.vtkMRMLNode | None, moved: slicer.vtkMRMLNode | None) -> str:
    """What stands in the way, as far as can be told at a glance; "" when nothing does. known: see card."""
    if known is None:
        return _(
            "Found no network for topological change ({name}), expected it among the installed ones. Put it into the "
            "folder that SYNTHREG_WEIGHTS names, or train one with: synthreg train topology."
        ).format(name=TOPOLOGY_MODEL)
    if fixed is None or moved is None:
        return _("Register two images, or choose one of the results.")
    faults = (check(node) for node in (fixed, moved) for check in (fault_of_image, fault_of_parent))
    return next((found for found in faults if found), "")


def changes_work(
    fixed: slicer.vtkMRMLScalarVolumeNode,
    moved: slicer.vtkMRMLScalarVolumeNode,
    controls: str = "",
    device: Device = Device.AUTO,
) -> Work:
    """A Found at its end. controls: folder of healthy people's images, aligned with the fixed one where it lies in the
    world. Raises RequestError when the images cannot be used as they are."""
    if wrong := fault(card(), fixed, moved):
        raise RequestError(wrong)

    def write(folder: Path) -> Generator[None, None, dict[str, str]]:
        inputs = yield from write_nodes({"fixed": fixed, "moving": moved}, folder, "fixed")
        return {**inputs, "controls": controls} if controls else inputs

    return nodes_work(
        "topology_nodes", write, {"device": device.value}, _load, lambda loaded: _place(fixed, moved, *loaded)
    )


def _load(result: Result) -> tuple[Loaded, dict[str, Spread]]:
    loaded = results.load(result, MAPS)
    return loaded, {name: _spread(vtk_to_numpy(array)) for name, array in loaded.arrays.items()}


def _spread(values: np.ndarray) -> Spread:
    """The background, zero in the file, gets the lowest value where that is below zero: no threshold shows it then."""
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
) -> Generator[None, None, Found]:
    """Add the maps to the scene; when it ends early, by an error or closed, none of them stays."""
    makers = {name: partial(_map, name, fixed, moved, loaded, spreads[name]) for name in MAPS if name in loaded.arrays}
    origin = Origin({"fixed": fixed, "moved": moved}, fixed, str(loaded.report.get("model", "")), loaded.page)
    placed = yield from results.place_all(makers, origin)
    for name in MAPS:
        moved.SetNodeReferenceID(f"SynthReg.{name}", placed[name].GetID() if name in placed else None)
    return Found(moved, placed, loaded.warnings)


def _map(
    name: str, fixed: Any, moved: Any, loaded: Loaded, spread: Spread, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    title = _("{map}: {moved}").format(map=words()[name], moved=moved.GetName())
    low, high = spread.at(MARKED_FROM), spread.at(_BRIGHTEST)
    reach = max(1.5 * (high - low), 1e-6)
    window = (reach, high - reach / 2)
    node = add_scan(title, loaded.arrays[name], place_of(loaded, name, fixed), added, window=window)
    node.SetAttribute(_SPREAD, json.dumps(asdict(spread)))
    if node.GetDisplayNode() is not None:
        iron = slicer.vtkMRMLColorLogic.GetColorTableNodeID(slicer.vtkMRMLColorTableNode.Iron)
        node.GetDisplayNode().SetAndObserveColorNodeID(iron)
    show_above(node, MARKED_FROM)
    return node


def show_above(node: slicer.vtkMRMLScalarVolumeNode, percentile: float) -> str:
    """Show of a map only what is above this percentile of the foreground, and say how much that is."""
    spread = _spread_of(node)
    cut, top = spread.at(percentile), spread.values[-1]
    display = node.GetDisplayNode()
    if display is not None:
        display.SetAutoThreshold(False)
        display.SetThreshold(float(np.nextafter(np.float32(cut), np.float32(np.inf))), max(cut, top) + 1.0)
        display.SetApplyThreshold(True)
    if cut >= top:
        return _("Nothing is shown: no value is above the others.")
    share = 1 - percentile / 100
    return _("Shown: {ml:.1f} ml, the highest {share:.1f} % of the fixed image (values above {cut:.3g})").format(
        ml=share * spread.count * _voxel_ml(node), share=100 * share, cut=cut
    )


def peak(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[float, float, float]:
    """Where the map is highest, RAS mm in the world."""
    index = np.unravel_index(_spread_of(node).peak, node.GetImageData().GetDimensions(), order="F")
    return tuple((_to_world(node) @ [*index, 1.0])[:3])


def _spread_of(node: slicer.vtkMRMLScalarVolumeNode) -> Spread:
    return Spread(**json.loads(node.GetAttribute(_SPREAD)))


def _to_world(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """4x4, index -> world. A map is made under straight transforms only; what bends it later is left out."""
    matrix = parent_matrix(node)
    return ijk_to_ras(node) if matrix is None else matrix @ ijk_to_ras(node)


def _voxel_ml(node: slicer.vtkMRMLScalarVolumeNode) -> float:
    return abs(float(np.linalg.det(_to_world(node)[:3, :3]))) / 1000
