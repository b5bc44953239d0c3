"""Predict for one target: request and result nodes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib import results
from SynthRegLib.job import JobSteps
from SynthRegLib.node_job import node_job
from SynthRegLib.nodes import write_nodes
from SynthRegLib.results import Added, Loaded, Origin, add_scan, add_segmentation, node_placement

from SlicerSynthReg.io.example_pairs import parse_label_names
from SlicerSynthReg.parameters.examples import InContextParameters
from SlicerSynthReg.weights.registry import Card
from SynthContextLib.example_folder import Examples
from SynthContextLib.label_names import LabelNames
from SynthContextLib.pair_rows import Row
from SynthContextLib.uncertainty_view import WINDOW, hide_far, show_in_colours


@dataclass(frozen=True, eq=False)
class Prediction:
    """Nodes of one target. labels: segmentation, None if the output is an image. uncertainty: entropy in bits, or None.
    names: of the labels in the report."""

    target: slicer.vtkMRMLScalarVolumeNode
    labels: slicer.vtkMRMLSegmentationNode | None
    image: slicer.vtkMRMLScalarVolumeNode | None
    uncertainty: slicer.vtkMRMLScalarVolumeNode | None
    names: LabelNames
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    page: str = ""

    @property
    def main(self) -> slicer.vtkMRMLNode:
        return self.labels if self.labels is not None else self.image


def from_examples(row: Row, examples: Examples, parameters: InContextParameters) -> JobSteps:
    """Return the steps of an in-context prediction for the target of `row`; its value is a Prediction."""
    roles = {"target": row.image} | ({"truth": row.answer} if row.answer is not None else {})

    def write(folder: Path) -> Generator[None, None, dict[str, str]]:
        on = {"truth": "target"} if row.answer is not None else {}
        inputs = yield from write_nodes(roles, folder, "target", on, examples.legend.numbers)
        return {**inputs, "examples": str(examples.folder)}

    place = partial(_placed, row, examples.legend)
    return node_job("in-context_nodes", write, asdict(parameters), _load, place)


def from_model(row: Row, card: Card, parameters: InContextParameters) -> JobSteps:
    """Return the steps of a segmentation by a fine-tuned model; its value is a Prediction."""
    names = LabelNames(names=parse_label_names(card.legend))
    numbers = {one.name: label for label, one in names.names.items()}
    roles = {"image": row.image} | ({"truth": row.answer} if row.answer is not None else {})

    def write(folder: Path) -> Generator[None, None, dict[str, str]]:
        on = {"truth": "image"} if row.answer is not None else {}
        return (yield from write_nodes(roles, folder, "image", on, _with_strangers(numbers, row.answer)))

    request = {"model": card.name, "device": parameters.device}
    return node_job("segment_nodes", write, request, _load, partial(_placed, row, names))


def _with_strangers(numbers: dict[str, int], truth: Any) -> dict[str, int]:
    """Number segments that the model does not know with unused labels."""
    if truth is None or not truth.IsA("vtkMRMLSegmentationNode"):
        return numbers
    every = dict(numbers)
    segmentation = truth.GetSegmentation()
    for n in range(segmentation.GetNumberOfSegments()):
        every.setdefault(segmentation.GetNthSegment(n).GetName(), 1000 + n)
    return every


def _load(result: Any) -> Loaded:
    loaded = results.load(result, ("labels", "image", "uncertainty"))
    hide_far(loaded)
    return loaded


def _placed(row: Row, names: LabelNames, loaded: Loaded) -> Generator[None, None, Prediction]:
    makers = {name: partial(make, row.image, names, loaded) for name, make in _MAKERS.items() if name in loaded.arrays}
    origin = Origin({"target": row.image}, row.image, str(loaded.report["run"]["model"]), loaded.page)
    nodes = yield from results.add_all(makers, origin)
    return Prediction(
        row.image,
        nodes.get("labels"),
        nodes.get("image"),
        nodes.get("uncertainty"),
        names,
        loaded.report,
        loaded.warnings,
        loaded.page,
    )


def _labels(
    target: slicer.vtkMRMLScalarVolumeNode, names: LabelNames, loaded: Loaded, added: Added
) -> slicer.vtkMRMLSegmentationNode:
    """Add a segment for each requested label, also for empty ones; as outlines where uncertainty is shown."""
    segments = {}
    for label in loaded.report["labels"]:
        segments[f"label_{label}"] = (int(label), names.segment(int(label)))
    name = _("Prediction of {target}").format(target=target.GetName())
    place = node_placement(loaded, "labels", target)
    node = add_segmentation(name, loaded.arrays["labels"], place, added, segments, target)
    if node.GetDisplayNode() is not None:
        added.append(node.GetDisplayNode())
        if "uncertainty" in loaded.arrays:
            node.GetDisplayNode().SetVisibility2DFill(False)
    return node


def _image(
    target: slicer.vtkMRMLScalarVolumeNode, names: LabelNames, loaded: Loaded, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    name = _("Prediction of {target}").format(target=target.GetName())
    return add_scan(name, loaded.arrays["image"], node_placement(loaded, "image", target), added)


def _uncertainty(
    target: slicer.vtkMRMLScalarVolumeNode, names: LabelNames, loaded: Loaded, added: Added
) -> slicer.vtkMRMLScalarVolumeNode:
    """Add the entropy in bits near the labels, transparent at low values."""
    name = _("Uncertainty of {target}").format(target=target.GetName())
    place = node_placement(loaded, "uncertainty", target)
    node = add_scan(name, loaded.arrays["uncertainty"], place, added, window=WINDOW)
    show_in_colours(node)
    return node


_MAKERS = {"labels": _labels, "image": _image, "uncertainty": _uncertainty}
