"""The examples as a folder that the backend reads, written by the worker and kept until an example changes, so that
their alignment is computed once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from SynthRegLib.job import JobSteps
from SynthRegLib.node_geometry import ijk_to_ras, parent_matrix
from SynthRegLib.nodes import file_name, is_labels, write_nodes

from SlicerSynthReg.io.example_pairs import LABEL_NAMES_FILE, write_label_names
from SlicerSynthReg.request import Request, Result
from SynthContextLib.label_names import LabelNames, label_names_of
from SynthContextLib.pair_rows import Row


@dataclass(frozen=True, eq=False)
class Examples:
    """folder: as the backend reads it. legend: label names; without labels if the outputs are images."""

    folder: Path
    legend: LabelNames
    labels: bool


class ExampleFolder:
    """Cache of the last set of examples."""

    def __init__(self) -> None:
        self._made: Examples | None = None
        self._key: Any = None
        self._home: Path | None = None

    def current(self, rows: Sequence[Row]) -> Examples | None:
        """Return the cached set if nothing in these rows has changed, else None."""
        there = self._made is not None and self._made.folder.is_dir()
        return self._made if there and self._key == _key(rows) else None

    def work(self, rows: Sequence[Row]) -> JobSteps:
        """Return the steps that write the set of these rows; their value is Examples."""
        self.forget()
        home = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))
        key = _key(rows)

        def keep(made: Examples) -> Examples:
            self._made, self._key, self._home = made, key, home
            return made

        return _work(rows, home / "examples", home, keep)

    def forget(self) -> None:
        home, self._home, self._made = self._home, None, None
        if home is not None:
            shutil.rmtree(home, ignore_errors=True)


def saving(rows: Sequence[Row], folder: Path) -> JobSteps:
    """Return the steps that write the set to `folder`, all or nothing; their value is Examples."""
    home = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))

    def tidy(made: Examples) -> Examples:
        shutil.rmtree(home, ignore_errors=True)
        return made

    return _work(rows, folder, home, tidy)


def _work(rows: Sequence[Row], folder: Path, home: Path, end: Any) -> JobSteps:
    legend = label_names_of([row.answer for row in rows])
    labels = all(is_labels(row.answer) for row in rows)

    def prepare() -> Generator[None, None, Request]:
        inputs = home / "inputs"
        inputs.mkdir()
        nodes = {}
        for name, row in zip(names_of(rows), rows):
            nodes[f"examples/{name}/input"] = row.image
            nodes[f"examples/{name}/output"] = row.answer
        written = yield from write_nodes(nodes, inputs, main=next(iter(nodes)), numbers=legend.numbers)
        if labels:
            write_label_names(legend.names, inputs / LABEL_NAMES_FILE)
        return Request("examples_nodes", written, str(folder))

    def load(result: Result) -> Result:
        shutil.rmtree(home / "inputs", ignore_errors=True)
        return result

    def place(result: Result) -> Generator[None, None, Examples]:
        yield
        return end(Examples(folder, legend, labels))

    return JobSteps(prepare, load, place, home)


def names_of(rows: Sequence[Row]) -> list[str]:
    """Return a unique file name for each example, from the images' names."""
    names: list[str] = []
    for row in rows:
        plain = file_name(row.name)
        name, n = plain, 2
        while name.lower() in (one.lower() for one in names):
            name, n = f"{plain} {n}", n + 1
        names.append(name)
    return names


def _key(rows: Sequence[Row]) -> Any:
    """Return a key that changes with the files' content."""
    return [(os.fspath(row.name), *(_state(node) for node in (row.image, row.answer))) for row in rows]


def _state(node: Any) -> Any:
    parent = node.GetParentTransformNode()
    above = None
    if parent is not None:
        matrix = parent_matrix(node)
        above = parent.GetTransformToWorldMTime() if matrix is None else matrix.tolist()
    if not node.IsA("vtkMRMLSegmentationNode"):
        return node.GetID(), _changed(node.GetImageData()), ijk_to_ras(node).tolist(), above
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    segment_states = [(one.GetName(), one.GetLabelValue(), _changed(one.GetRepresentation(kind))) for one in segments]
    return node.GetID(), segment_states, above


def _changed(image: Any) -> int:
    """Return the last modification time of an image or its voxels; 0 without one."""
    if image is None:
        return 0
    scalars = image.GetPointData().GetScalars()
    return max(image.GetMTime(), scalars.GetMTime() if scalars is not None else 0)
