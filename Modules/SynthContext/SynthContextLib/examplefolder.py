"""The examples as a folder that the backend reads, made by the worker and kept until an example changes: the worker
then need not align them again for the next target.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from SynthRegLib.filenames import file_name
from SynthRegLib.job import Work
from SynthRegLib.nodes import is_labels, write_nodes
from SynthRegLib.placement import ijk_to_ras, parent_matrix

from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.tasks.context_pairs import LEGEND, write_legend
from SynthContextLib.legend import Legend, legend_of
from SynthContextLib.rows import Row


@dataclass(frozen=True, eq=False)
class Examples:
    """folder: as the backend reads it. legend: of its labels; without labels where the answers are images."""

    folder: Path
    legend: Legend
    labels: bool


class ExampleFolder:
    """Holds the last set that was made for a run."""

    def __init__(self) -> None:
        self._made: Examples | None = None
        self._key: Any = None
        self._home: Path | None = None

    def current(self, rows: Sequence[Row]) -> Examples | None:
        """The set of these rows, if nothing in them has changed since it was made."""
        there = self._made is not None and self._made.folder.is_dir()
        return self._made if there and self._key == _key(rows) else None

    def work(self, rows: Sequence[Row]) -> Work:
        """Makes the set of these rows; its value is the Examples."""
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


def saving(rows: Sequence[Row], folder: Path) -> Work:
    """Writes the set of these rows to `folder`, whole or not at all; its value is the Examples."""
    home = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))

    def tidy(made: Examples) -> Examples:
        shutil.rmtree(home, ignore_errors=True)
        return made

    return _work(rows, folder, home, tidy)


def _work(rows: Sequence[Row], folder: Path, home: Path, end: Any) -> Work:
    legend = legend_of([row.answer for row in rows])
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
            write_legend(legend.names, inputs / LEGEND)
        return Request("examples_nodes", written, str(folder))

    def load(result: Result) -> Result:
        shutil.rmtree(home / "inputs", ignore_errors=True)
        return result

    def place(result: Result) -> Generator[None, None, Examples]:
        yield
        return end(Examples(folder, legend, labels))

    return Work(prepare, load, place, home)


def names_of(rows: Sequence[Row]) -> list[str]:
    """Of the examples, each its own: the images' names as files may have them."""
    names: list[str] = []
    for row in rows:
        plain = file_name(row.name)
        name, n = plain, 2
        while name.lower() in (one.lower() for one in names):
            name, n = f"{plain} {n}", n + 1
        names.append(name)
    return names


def _key(rows: Sequence[Row]) -> Any:
    """Changes with whatever the files say."""
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
    told = [(one.GetName(), one.GetLabelValue(), _changed(one.GetRepresentation(kind))) for one in segments]
    return node.GetID(), told, above


def _changed(image: Any) -> int:
    """When an image, or its voxels, were changed last; 0 without one."""
    if image is None:
        return 0
    scalars = image.GetPointData().GetScalars()
    return max(image.GetMTime(), scalars.GetMTime() if scalars is not None else 0)
