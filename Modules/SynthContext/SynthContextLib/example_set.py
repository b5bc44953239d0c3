"""Load a set of examples from disk: volumes, segmentations with names and colours, rows."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.node_geometry import ijk_to_ras
from SynthRegLib.results import NodePlacement, add_segmentation

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.example_pairs import ExamplePaths, find_examples, read_label_names
from SynthContextLib.label_names import LabelNames
from SynthContextLib.pair_rows import Row

_IMAGES = ("outputs",)
"""Folders whose files are images, never label maps."""


def find_pairs(source: Path) -> tuple[list[ExamplePaths], LabelNames]:
    """Return the pairs of a folder or table and the label names. Raises RequestError."""
    pairs = find_examples(source)
    if any(len(pair.inputs) > 1 for pair in pairs):
        raise RequestError(
            _(
                "Found examples of several images each in {name}, expected one image each. Use them with the command "
                "synthreg in-context."
            ).format(name=source.name)
        )
    return pairs, LabelNames(names=read_label_names(source))


def load_pairs(pairs: list[ExamplePaths], legend: LabelNames) -> Generator[None, None, list[Row]]:
    """Load one file per step; none of the nodes stays after an error or a cancellation."""
    added: list[Any] = []
    rows = []
    try:
        for pair in pairs:
            image = _loaded(pair.inputs[0], slicer.util.loadVolume, added)
            image.SetName(pair.name)
            yield
            rows.append(Row(image, _answer(pair, image, legend, added)))
            yield
    except BaseException:
        for node in added:
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
        raise
    return rows


def _loaded(path: Path, load: Any, added: list[Any]) -> Any:
    try:
        node = load(str(path), {"show": False} if load is not slicer.util.loadSegmentation else {})
    except RuntimeError as error:
        raise RequestError(
            _("Found that {name} cannot be loaded, expected an image. Is the file whole?").format(name=path.name)
        ) from error
    added.append(node)
    return node


def _answer(pair: ExamplePaths, image: Any, legend: LabelNames, added: list[Any]) -> Any:
    """Return a segmentation on `image`, or a volume."""
    name = _("{name} labels").format(name=pair.name)
    if pair.output.name.lower().endswith(".seg.nrrd"):
        node = _loaded(pair.output, slicer.util.loadSegmentation, added)
        node.SetName(name)
        return node
    volume = _loaded(pair.output, slicer.util.loadVolume, added)
    values = slicer.util.arrayFromVolume(volume)
    if pair.output.parent.name in _IMAGES or not _are_labels(values):
        volume.SetName(_("{name} output").format(name=pair.name))
        return volume
    whole = slicer.util.addVolumeFromArray(
        values.astype(np.uint8 if values.max() < 256 else np.int16), ijk_to_ras(volume)
    )
    added.append(whole)
    present = [int(value) for value in np.unique(values) if value > 0]
    segments = {f"label_{value}": (value, legend.segment(value)) for value in present}
    scalars = whole.GetImageData().GetPointData().GetScalars()
    place = NodePlacement(tuple(whole.GetImageData().GetDimensions()), ijk_to_ras(volume), None)
    node = add_segmentation(name, scalars, place, added, segments, image)
    for used in (volume, whole):
        slicer.mrmlScene.RemoveNode(used)
        added.remove(used)
    return node


def _are_labels(values: np.ndarray) -> bool:
    """Return whether the values are few non-negative integers."""
    return bool(values.min() >= 0 and (values == np.round(values)).all() and len(np.unique(values)) <= 256)
