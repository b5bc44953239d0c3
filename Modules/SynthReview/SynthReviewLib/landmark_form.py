"""Points that the reader places in the views: a button and the position of each."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from SlicerSynthReg.reader_study.question import ReadingQuestion


class LandmarkForm(VTKObservationMixin):
    """frame: the widget. The points are control points of a node that `close` removes."""

    def __init__(self, question: ReadingQuestion, changed: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._question = question
        self._changed = changed
        self._wanted = ""
        self._node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", _("Points"))
        self._node.SetSaveWithScene(False)
        self._node.CreateDefaultDisplayNodes()
        self.addObserver(self._node, slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent, self._on_placed)
        self.addObserver(self._node, slicer.vtkMRMLMarkupsNode.PointModifiedEvent, self._on_moved)
        self.frame = qt.QWidget()
        grid = qt.QGridLayout(self.frame)
        grid.setContentsMargins(0, 0, 0, 0)
        self._places: dict[str, qt.QLabel] = {}
        for row, point in enumerate(question.points):
            button = qt.QPushButton(_("Place"))
            button.objectName = f"{question.name}_{point}"
            button.connect("clicked(bool)", lambda on, point=point: self._place(point))
            place = qt.QLabel(_("not placed: recorded as not visible"))
            grid.addWidget(qt.QLabel(point), row, 0)
            grid.addWidget(button, row, 1)
            grid.addWidget(place, row, 2)
            self._places[point] = place

    def answer(self) -> dict[str, list[float] | None]:
        """Return point -> R, A, S mm in the world; None for points that are not placed."""
        return {point: self._position(point) for point in self._question.points}

    def restore(self) -> None:
        """Add the node with its points to the scene again, if the scene was closed."""
        if self._node.GetScene() is None:
            slicer.mrmlScene.AddNode(self._node)
            self._node.CreateDefaultDisplayNodes()

    def stop_placing(self) -> None:
        self._wanted = ""
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction is not None:
            interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)

    def close(self) -> None:
        self.stop_placing()
        self.removeObservers()
        if self._node.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(self._node)

    def _place(self, point: str) -> None:
        """Let the next click in a view set this point in place of its earlier position."""
        self._wanted = point
        logic = slicer.util.getModuleLogic("Markups")
        logic.SetActiveList(self._node)
        logic.StartPlaceMode(False)

    def _on_placed(self, caller, event) -> None:
        if not self._wanted:
            return
        point, self._wanted = self._wanted, ""
        before = self._index_of(point)
        new = self._node.GetNumberOfControlPoints() - 1
        if before is not None and before != new:
            self._node.RemoveNthControlPoint(before)
            new -= 1
        self._node.SetNthControlPointLabel(new, point)
        self._show()

    def _on_moved(self, caller, event) -> None:
        self._show()

    def _show(self) -> None:
        for point, label in self._places.items():
            position = self._position(point)
            if position is not None:
                label.text = ", ".join(f"{mm:.1f}" for mm in position) + _(" mm (RAS)")
        self._changed()

    def _index_of(self, point: str) -> int | None:
        labels = [self._node.GetNthControlPointLabel(n) for n in range(self._node.GetNumberOfControlPoints())]
        return labels.index(point) if point in labels else None

    def _position(self, point: str) -> list[float] | None:
        index = self._index_of(point)
        if index is None or self._node.GetNthControlPointPositionStatus(index) != self._node.PositionDefined:
            return None
        position = [0.0, 0.0, 0.0]
        self._node.GetNthControlPointPositionWorld(index, position)
        return position
