"""From a CT's node to the nodes of its counterpart: what the panel's jobs do."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import Work
from SynthRegLib.nodes import write_nodes
from SynthRegLib.results import Added, Loaded, Origin, add_scan, load, place_all, place_of
from SynthRegLib.work import nodes_work

from SlicerSynthReg.request import RequestError
from SynthContrastLib.organs import OrganRow, organ_numbers, organ_rows
from SynthContrastLib.preview import part_for
from SynthContrastLib.scan import ContrastNodes, Glances, fault
from SynthContrastLib.settings import ContrastSettings

ABDOMEN = (350.0, 40.0)
"""Window and level in HU."""
_CYCLE_WINDOW = (60.0, 30.0)


@dataclass(eq=False)
class Converted:
    """The nodes of one conversion. cycle: HU that there and back differ by, None where it was not asked for. page: the
    HTML report's path."""

    source: slicer.vtkMRMLScalarVolumeNode
    settings: ContrastSettings
    image: slicer.vtkMRMLScalarVolumeNode
    cycle: slicer.vtkMRMLScalarVolumeNode | None = None
    labels: slicer.vtkMRMLDisplayableNode | None = None
    organs: list[OrganRow] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""


def conversion_work(nodes: ContrastNodes, settings: ContrastSettings) -> Work:
    """What a Job does; its value is Converted. Raises RequestError when the scan cannot be converted as it is."""
    _require(nodes, settings)
    numbers = organ_numbers(nodes.labels)
    return nodes_work(
        "contrast_nodes",
        lambda folder: write_nodes(nodes.given(), folder, "image", {"labels": "image"}, numbers),
        settings.parameters(),
        lambda result: load(result, ("image", "cycle")),
        lambda loaded: _place(nodes, settings, numbers, loaded),
    )


def preview_work(nodes: ContrastNodes, settings: ContrastSettings, k: int | None = None) -> Work:
    """The same of slice k of the scan alone (its middle for None), from the few slices that it depends on: nearly what
    the whole volume will have there. Its value is Converted, with a hidden node of one slice."""
    quick = replace(settings, cycle=False)
    alone = ContrastNodes(nodes.image)
    _require(alone, quick)
    part = part_for(nodes.image, quick, k)
    return nodes_work(
        "contrast_nodes",
        lambda folder: write_nodes(alone.given(), folder, "image", parts={"image": part.slices}),
        {**quick.parameters(), "slice": part.number},
        lambda result: load(result, ("image",)),
        lambda loaded: _place(alone, quick, {}, loaded, preview=True),
    )


def _require(nodes: ContrastNodes, settings: ContrastSettings) -> None:
    wrong = fault(nodes, settings, Glances())
    if wrong:
        raise RequestError(wrong)


def _place(
    nodes: ContrastNodes, settings: ContrastSettings, numbers: dict[str, int], loaded: Loaded, preview: bool = False
) -> Generator[None, None, Converted]:
    """All nodes, or none."""
    makers = {"image": partial(_image, nodes, settings, loaded, preview)}
    if "cycle" in loaded.arrays:
        makers["cycle"] = partial(_cycle, nodes, loaded)
    origin = Origin({"image": nodes.image}, nodes.image, str(loaded.report["model"]), loaded.page)
    placed = yield from place_all(makers, origin)
    return Converted(
        source=nodes.image,
        settings=settings,
        labels=nodes.labels,
        organs=organ_rows(loaded.report, numbers),
        report=loaded.report,
        warnings=loaded.warnings,
        page=loaded.page,
        **placed,
    )


def _image(
    nodes: ContrastNodes, settings: ContrastSettings, loaded: Loaded, preview: bool, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    words = _("{name}: preview of synthetic {kind}") if preview else _("{name}: synthetic {kind}")
    name = words.format(name=nodes.image.GetName(), kind=settings.direction.kind())
    where = place_of(loaded, "image", nodes.image)
    node = add_scan(name, loaded.arrays["image"], where, added, like=nodes.image)
    node.SetAttribute("SynthReg.Contrast", settings.direction.value)
    if preview:
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        if node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetSaveWithScene(False)
    return node


def _cycle(nodes: ContrastNodes, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("{name}: cycle error in HU").format(name=nodes.image.GetName())
    where = place_of(loaded, "cycle", nodes.image)
    return add_scan(name, loaded.arrays["cycle"], where, added, window=_CYCLE_WINDOW)
