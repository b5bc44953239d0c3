"""The mouse on a mark of ours in a slice view: taken before Slicer's own handling sees it, and only there."""

from __future__ import annotations

from collections.abc import Callable

import vtk

_BEFORE_SLICER = 10.0


class Dragging:
    """takes: whether a press at (x, y) is on the mark; drag: called with each place until the button is let go.
    Pixels of the view, y counted from the bottom."""

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
        """From everybody behind us."""
        self._interactor.GetCommand(self._tags[event]).SetAbortFlag(1)
