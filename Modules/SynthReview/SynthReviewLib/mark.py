"""The split line, or the checkerboard's handle, drawn in a slice view."""

from __future__ import annotations

import vtk

COLOUR = (1.0, 1.0, 1.0)
REACH = 6
"""Pixels around the mark in which the mouse takes it."""


class Mark:
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
        """A line through these pixels, y counted from the bottom."""
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
