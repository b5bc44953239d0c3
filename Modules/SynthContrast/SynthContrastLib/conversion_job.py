"""Jobs of the panel: conversion of a volume, preview of a slice."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import JobSteps
from SynthRegLib.node_job import node_job
from SynthRegLib.nodes import write_nodes
from SynthRegLib.results import Added, Loaded, Origin, add_all, add_scan, load, node_placement

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SynthContrastLib.input_checks import ContrastNodes, CTChecks, contrast_validation_error
from SynthContrastLib.organ_labels import OrganRow, organ_numbers, organ_rows
from SynthContrastLib.preview import part_for

ABDOMEN = (350.0, 40.0)
"""Window and level in HU."""
_CYCLE_WINDOW = (60.0, 30.0)


@dataclass(eq=False)
class ConvertedNodes:
    """Nodes of one conversion. cycle: cycle error in HU, None if not computed. page: path of the HTML report."""

    source: slicer.vtkMRMLScalarVolumeNode
    parameters: ContrastParameters
    image: slicer.vtkMRMLScalarVolumeNode
    cycle: slicer.vtkMRMLScalarVolumeNode | None = None
    labels: slicer.vtkMRMLDisplayableNode | None = None
    organs: list[OrganRow] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""


def conversion_job(nodes: ContrastNodes, parameters: ContrastParameters) -> JobSteps:
    """Return the steps of a conversion; its value is ConvertedNodes. Raises RequestError."""
    _require(nodes, parameters)
    numbers = organ_numbers(nodes.labels)
    return node_job(
        "contrast_nodes",
        lambda folder: write_nodes(nodes.given(), folder, "image", {"labels": "image"}, numbers),
        asdict(parameters),
        lambda result: load(result, ("image", "cycle")),
        lambda loaded: _place(nodes, parameters, numbers, loaded),
    )


def preview_job(nodes: ContrastNodes, parameters: ContrastParameters, k: int | None = None) -> JobSteps:
    """Return the steps of the conversion of slice k (None: the middle), from the slices that it depends on; its value
    is ConvertedNodes with a hidden node of one slice."""
    quick = replace(parameters, cycle=False)
    alone = ContrastNodes(nodes.image)
    _require(alone, quick)
    part = part_for(nodes.image, quick, k)
    return node_job(
        "contrast_nodes",
        lambda folder: write_nodes(alone.given(), folder, "image", parts={"image": part.slices}),
        {**asdict(quick), "slice": part.number},
        lambda result: load(result, ("image",)),
        lambda loaded: _place(alone, quick, {}, loaded, preview=True),
    )


def phase_text(target_phase: str) -> str:
    """Return the name of a phase within a sentence."""
    return {"native": _("native CT"), "arterial": _("arterial-phase CT")}[target_phase]


def _require(nodes: ContrastNodes, parameters: ContrastParameters) -> None:
    wrong = contrast_validation_error(nodes, parameters, CTChecks())
    if wrong:
        raise RequestError(wrong)


def _place(
    nodes: ContrastNodes, parameters: ContrastParameters, numbers: dict[str, int], loaded: Loaded, preview: bool = False
) -> Generator[None, None, ConvertedNodes]:
    """Add all nodes, or none."""
    makers = {"image": partial(_image, nodes, parameters, loaded, preview)}
    if "cycle" in loaded.arrays:
        makers["cycle"] = partial(_cycle, nodes, loaded)
    origin = Origin({"image": nodes.image}, nodes.image, str(loaded.report["run"]["model"]), loaded.page)
    placed = yield from add_all(makers, origin)
    return ConvertedNodes(
        source=nodes.image,
        parameters=parameters,
        labels=nodes.labels,
        organs=organ_rows(loaded.report, numbers),
        report=loaded.report,
        warnings=loaded.warnings,
        page=loaded.page,
        **placed,
    )


def _image(
    nodes: ContrastNodes, parameters: ContrastParameters, loaded: Loaded, preview: bool, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    words = _("{name}: preview of synthetic {kind}") if preview else _("{name}: synthetic {kind}")
    name = words.format(name=nodes.image.GetName(), kind=phase_text(parameters.target_phase))
    where = node_placement(loaded, "image", nodes.image)
    node = add_scan(name, loaded.arrays["image"], where, added, like=nodes.image)
    node.SetAttribute("SynthReg.Contrast", parameters.target_phase)
    if preview:
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        if node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetSaveWithScene(False)
    return node


def _cycle(nodes: ContrastNodes, loaded: Loaded, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("{name}: cycle error in HU").format(name=nodes.image.GetName())
    where = node_placement(loaded, "cycle", nodes.image)
    return add_scan(name, loaded.arrays["cycle"], where, added, window=_CYCLE_WINDOW)
