"""A set of examples on disk into the scene: volumes, segmentations with their names and colours, and their rows."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.placement import ijk_to_ras
from SynthRegLib.results import Place, add_segmentation

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.tasks.context_pairs import PairPaths, find_pairs, read_legend
from SynthContextLib.legend import Legend
from SynthContextLib.rows import Row

_IMAGES = ("outputs",)
"""Folders whose files are images whatever their voxels say."""


def found_in(source: Path) -> tuple[list[PairPaths], Legend]:
    """The pairs of a folder or table, and what their labels are called. Raises RequestError."""
    pairs = find_pairs(source)
    if any(len(pair.inputs) > 1 for pair in pairs):
        raise RequestError(
            _(
                "Found examples of several images each in {name}, expected one image each. Use them with the command "
                "synthreg context."
            ).format(name=source.name)
        )
    return pairs, Legend(names=read_legend(source))


def placed(pairs: list[PairPaths], legend: Legend) -> Generator[None, None, list[Row]]:
    """Load them, a file a step; when it ends early, by an error or closed, none of them stays."""
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


def _answer(pair: PairPaths, image: Any, legend: Legend, added: list[Any]) -> Any:
    """A segmentation drawn on `image`, or a scan."""
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
    place = Place(tuple(whole.GetImageData().GetDimensions()), ijk_to_ras(volume), None)
    node = add_segmentation(name, scalars, place, added, segments, image)
    for used in (volume, whole):
        slicer.mrmlScene.RemoveNode(used)
        added.remove(used)
    return node


def _are_labels(values: np.ndarray) -> bool:
    """Whole numbers from 0, and few of them."""
    return bool(values.min() >= 0 and (values == np.round(values)).all() and len(np.unique(values)) <= 256)
