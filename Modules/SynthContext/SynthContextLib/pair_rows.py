"""Rows of examples (image, output) and targets (image, reference).

They are stored as node references of the parameter node, so that they survive saving and loading.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from SynthRegLib.nodes import is_labels


@dataclass(frozen=True, eq=False)
class Row:
    """image: a volume. answer: segmentation, label map or volume; None if missing. use: whether the row is checked."""

    image: slicer.vtkMRMLScalarVolumeNode | None
    answer: slicer.vtkMRMLDisplayableNode | None = None
    use: bool = True

    @property
    def name(self) -> str:
        named = self.image if self.image is not None else self.answer
        return named.GetName() if named is not None else ""

    def holds(self, node: slicer.vtkMRMLNode) -> bool:
        return node is self.image or node is self.answer


class Rows:
    """A list of rows in `node`, a scripted module node. kind: "example" or "target"."""

    def __init__(self, node: Any, kind: str) -> None:
        self._node = node
        self._kind = kind

    def read(self) -> list[Row]:
        """Return the rows; rows without nodes are dropped."""
        rows = []
        for n, use in enumerate(self._uses()):
            image, answer = (self._node.GetNodeReference(self._role(n, side)) for side in ("image", "answer"))
            if image is not None or answer is not None:
                rows.append(Row(image, answer, use))
        return rows

    def write(self, rows: Sequence[Row]) -> None:
        """Write all rows in one modification of the parameter node."""
        with slicer.util.NodeModify(self._node):
            for n in range(len(rows), len(self._uses())):
                for side in ("image", "answer"):
                    self._node.RemoveNodeReferenceIDs(self._role(n, side))
            for n, row in enumerate(rows):
                for side in ("image", "answer"):
                    node = getattr(row, side)
                    self._node.SetNodeReferenceID(self._role(n, side), node.GetID() if node is not None else None)
            self._node.SetParameter(f"{self._kind}Rows", json.dumps([row.use for row in rows]))

    def _uses(self) -> list[bool]:
        return json.loads(self._node.GetParameter(f"{self._kind}Rows") or "[]")

    def _role(self, n: int, side: str) -> str:
        return f"{self._kind}{n}.{side}"


def complete(rows: Sequence[Row]) -> list[Row]:
    """Return the checked rows with both nodes."""
    return [row for row in rows if row.use and row.image is not None and row.answer is not None]


def added(rows: Sequence[Row], images: Sequence[Any], answers: Sequence[Any]) -> list[Row]:
    """Return `rows` with further nodes: outputs are paired with their images, the rest with incomplete rows in order,
    then with new rows."""
    rows = list(rows)
    for image in images:
        if not any(row.image is image for row in rows):
            _put(rows, image, None)
    for answer in answers:
        if any(row.answer is answer for row in rows):
            continue
        image = image_of(answer, [row.image for row in rows if row.answer is None])
        if image is None:
            image = image_of(answer, slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
        at = next((n for n, row in enumerate(rows) if row.image is image and row.answer is None), None)
        if image is None:
            _put(rows, None, answer)
        elif at is not None:
            rows[at] = Row(image, answer, rows[at].use)
        else:
            rows.append(Row(image, answer))
    return rows


def _put(rows: list[Row], image: Any, answer: Any) -> None:
    """Put a node into the first row that lacks it, or into a new one."""
    for n, row in enumerate(rows):
        if image is not None and row.image is None:
            rows[n] = Row(image, row.answer, row.use)
            return
        if answer is not None and row.answer is None and row.image is not None:
            rows[n] = Row(row.image, answer, row.use)
            return
    rows.append(Row(image, answer))


def image_of(answer: slicer.vtkMRMLNode, images: Sequence[Any]) -> Any:
    """Return the volume, among `images`, of a segmentation or label map: by reference, else by the longest common
    beginning of the names; None if undecided."""
    if answer.IsA("vtkMRMLSegmentationNode"):
        drawn_on = answer.GetNodeReference(answer.GetReferenceImageGeometryReferenceRole())
        if drawn_on is not None and any(drawn_on is image for image in images):
            return drawn_on
    name = answer.GetName().lower()
    named = [one for one in images if one is not None and one is not answer and not is_labels(one)]
    begun = [one for one in named if one.GetName() and name.startswith(one.GetName().lower())]
    return max(begun, key=lambda one: len(one.GetName()), default=None)
