"""One target: what is asked of the worker, and the nodes that come of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib import results
from SynthRegLib.job import Work
from SynthRegLib.nodes import write_nodes
from SynthRegLib.results import Added, Loaded, Origin, add_scan, add_segmentation, place_of
from SynthRegLib.work import nodes_work

from SlicerSynthReg.tasks.context_pairs import legend_of
from SlicerSynthReg.weights.registry import Card
from SynthContextLib.doubt import WINDOW, clear_far, show_in_colours
from SynthContextLib.examplefolder import Examples
from SynthContextLib.legend import Legend
from SynthContextLib.rows import Row
from SynthContextLib.settings import Settings


@dataclass(frozen=True, eq=False)
class Answer:
    """The nodes of one target. labels: segmentation, or None where the answer is an image; doubt: entropy in bits, or
    None. names: what the labels of the report are called."""

    target: slicer.vtkMRMLScalarVolumeNode
    labels: slicer.vtkMRMLSegmentationNode | None
    image: slicer.vtkMRMLScalarVolumeNode | None
    doubt: slicer.vtkMRMLScalarVolumeNode | None
    names: Legend
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""

    @property
    def main(self) -> slicer.vtkMRMLNode:
        return self.labels if self.labels is not None else self.image


def from_examples(row: Row, examples: Examples, settings: Settings) -> Work:
    """The examples' task done to the target of `row`; its value is an Answer."""
    roles = {"target": row.image} | ({"truth": row.answer} if row.answer is not None else {})

    def write(folder: Path) -> Generator[None, None, dict[str, str]]:
        on = {"truth": "target"} if row.answer is not None else {}
        inputs = yield from write_nodes(roles, folder, "target", on, examples.legend.numbers)
        return {**inputs, "examples": str(examples.folder)}

    place = partial(_placed, row, examples.legend)
    return nodes_work("context_nodes", write, settings.parameters(), _load, place)


def from_model(row: Row, card: Card, settings: Settings) -> Work:
    """A fine-tuned model applied to the target of `row`; its value is an Answer."""
    names = Legend(names=legend_of(card.legend))
    numbers = {one.name: label for label, one in names.names.items()}
    roles = {"image": row.image} | ({"truth": row.answer} if row.answer is not None else {})

    def write(folder: Path) -> Generator[None, None, dict[str, str]]:
        on = {"truth": "image"} if row.answer is not None else {}
        return (yield from write_nodes(roles, folder, "image", on, _with_strangers(numbers, row.answer)))

    parameters = {"model": card.name, "device": settings.device.value}
    return nodes_work("segment_nodes", write, parameters, _load, partial(_placed, row, names))


def _with_strangers(numbers: dict[str, int], truth: Any) -> dict[str, int]:
    """Segments that the model does not know have numbers that it does not use."""
    if truth is None or not truth.IsA("vtkMRMLSegmentationNode"):
        return numbers
    every = dict(numbers)
    segmentation = truth.GetSegmentation()
    for n in range(segmentation.GetNumberOfSegments()):
        every.setdefault(segmentation.GetNthSegment(n).GetName(), 1000 + n)
    return every


def _load(result: Any) -> Loaded:
    loaded = results.load(result, ("labels", "image", "doubt"))
    clear_far(loaded)
    return loaded


def _placed(row: Row, names: Legend, loaded: Loaded) -> Generator[None, None, Answer]:
    makers = {name: partial(make, row.image, names, loaded) for name, make in _MAKERS.items() if name in loaded.arrays}
    origin = Origin({"target": row.image}, row.image, str(loaded.report.get("model", "")), loaded.page)
    nodes = yield from results.place_all(makers, origin)
    return Answer(
        row.image,
        nodes.get("labels"),
        nodes.get("image"),
        nodes.get("doubt"),
        names,
        loaded.report,
        loaded.warnings,
        loaded.page,
    )


def _labels(
    target: slicer.vtkMRMLScalarVolumeNode, names: Legend, loaded: Loaded, added: Added
) -> slicer.vtkMRMLSegmentationNode:
    """A segment for every label that was asked for, empty ones too: that nothing was found is an answer. Outlines only
    where doubt is shown, which their fill would hide."""
    segments = {}
    for label in loaded.report["labels"]:
        segments[f"label_{label}"] = (int(label), names.segment(int(label)))
    name = _("{target} by examples").format(target=target.GetName())
    place = place_of(loaded, "labels", target)
    node = add_segmentation(name, loaded.arrays["labels"], place, added, segments, target)
    if node.GetDisplayNode() is not None:
        added.append(node.GetDisplayNode())
        if "doubt" in loaded.arrays:
            node.GetDisplayNode().SetVisibility2DFill(False)
    return node


def _image(
    target: slicer.vtkMRMLScalarVolumeNode, names: Legend, loaded: Loaded, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("{target} by examples").format(target=target.GetName())
    return add_scan(name, loaded.arrays["image"], place_of(loaded, "image", target), added)


def _doubt(
    target: slicer.vtkMRMLScalarVolumeNode, names: Legend, loaded: Loaded, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    """Entropy in bits near what was found, clear where it is sure."""
    name = _("Doubt about {target}").format(target=target.GetName())
    place = place_of(loaded, "doubt", target)
    node = add_scan(name, loaded.arrays["doubt"], place, added, window=WINDOW)
    show_in_colours(node)
    return node


_MAKERS = {"labels": _labels, "image": _image, "doubt": _doubt}
