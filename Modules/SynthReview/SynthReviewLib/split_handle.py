"""The split line or the checkerboard's handle in a slice view: drawing, and dragging before Slicer's interaction."""

from __future__ import annotations

from collections.abc import Callable

import vtk

COLOUR = (1.0, 1.0, 1.0)
REACH = 6
"""Distance in pixels at which the mouse takes the handle."""
_BEFORE_SLICER = 10.0


class SplitLine:
    def __init__(self, renderer: vtk.vtkRenderer) -> None:
        self._renderer = renderer
        self._points = vtk.vtkPoints()
        self._data = vtk.vtkPolyData()
        self._data.SetPoints(self._points)
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._data)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(*COLOUR)
        self._actor.GetProperty().SetLineWidth(1)

    def show(self, corners: list[tuple[float, float]]) -> None:
        """Draw a line through these pixels, y from the bottom."""
        self._points.Reset()
        lines = vtk.vtkCellArray()
        lines.InsertNextCell(len(corners))
        for x, y in corners:
            lines.InsertCellPoint(self._points.InsertNextPoint(x, y, 0.0))
        self._points.Modified()
        self._data.SetLines(lines)
        self._renderer.AddViewProp(self._actor)

    def hide(self) -> None:
        self._renderer.RemoveViewProp(self._actor)


class SplitDragging:
    """takes: whether (x, y) is on the handle. drag: called with each position until release. Pixels of the view, y from
    the bottom."""

    def __init__(
        self,
        interactor: vtk.vtkRenderWindowInteractor,
        takes: Callable[[int, int], bool],
        drag: Callable[[int, int], None],
    ) -> None:
        self._interactor = interactor
        self._takes = takes
        self._drag = drag
        self._held = False
        self._tags = {
            event: interactor.AddObserver(event, slot, _BEFORE_SLICER)
            for event, slot in (
                ("LeftButtonPressEvent", self._on_press),
                ("MouseMoveEvent", self._on_move),
                ("LeftButtonReleaseEvent", self._on_release),
            )
        }

    def stop(self) -> None:
        for tag in self._tags.values():
            self._interactor.RemoveObserver(tag)
        self._tags = {}

    def _on_press(self, caller, event) -> None:
        modified = self._interactor.GetShiftKey() or self._interactor.GetControlKey()
        if not modified and self._takes(*self._interactor.GetEventPosition()):
            self._held = True
            self._keep(event)

    def _on_move(self, caller, event) -> None:
        if self._held:
            self._drag(*self._interactor.GetEventPosition())
            self._keep(event)

    def _on_release(self, caller, event) -> None:
        if self._held:
            self._held = False
            self._keep(event)

    def _keep(self, event: str) -> None:
        """Stop further observers of the event."""
        self._interactor.GetCommand(self._tags[event]).SetAbortFlag(1)
