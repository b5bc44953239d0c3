"""Diverging colour table with a dark centre, so that equal values are dark, and its scale bar."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import vtk

_COLOURS = 511
_ENDS = (np.array([0.65, 0.95, 1.0]), np.array([0.05, 0.35, 0.95]), np.zeros(3), np.array([0.9, 0.2, 0.05]))
_LAST = np.array([1.0, 0.95, 0.55])
FOLDED = (1.0, 0.0, 1.0)


@lru_cache(maxsize=16)
def diverging(
    low: float, high: float, opacity: float = 1.0, clear_middle: bool = False, folded: bool = False
) -> vtk.vtkLookupTable:
    """Return the table from blue (low) over black to red (high); NaN is transparent. clear_middle: transparent instead
    of black. folded: values up to `low` are magenta."""
    table = vtk.vtkLookupTable()
    table.SetNumberOfTableValues(_COLOURS)
    table.SetRange(low, high)
    stops = np.array([*_ENDS, _LAST])
    places = np.linspace(0.0, 1.0, len(stops))
    for n, place in enumerate(np.linspace(0.0, 1.0, _COLOURS)):
        colour = [float(np.interp(place, places, stops[:, channel])) for channel in range(3)]
        seen = min(1.0, 3 * abs(2 * place - 1)) if clear_middle else 1.0
        table.SetTableValue(n, *colour, float(opacity * seen))
    table.SetNanColor(0.0, 0.0, 0.0, 0.0)
    if folded:
        table.SetBelowRangeColor(*FOLDED, 1.0)
        table.UseBelowRangeColorOn()
    return table


class ScaleBar:
    """Scale bar at the right edge of a slice view."""

    def __init__(self, renderer: vtk.vtkRenderer) -> None:
        self._renderer = renderer
        self._bar = vtk.vtkScalarBarActor()
        self._bar.SetNumberOfLabels(5)
        self._bar.SetPosition(0.86, 0.2)
        self._bar.SetWidth(0.12)
        self._bar.SetHeight(0.6)
        self._bar.SetBarRatio(0.25)
        self._bar.UnconstrainedFontSizeOn()
        for text in (self._bar.GetLabelTextProperty(), self._bar.GetTitleTextProperty()):
            text.SetFontSize(12)
            text.ItalicOff()
            text.BoldOff()
            text.ShadowOn()

    def show(self, table: vtk.vtkLookupTable, title: str) -> None:
        """table: an opaque one of `diverging`, whose range is shown. title: short, as it is not wrapped."""
        low, high = table.GetRange()
        self._bar.SetLabelFormat("%.0f" if high - low > 20 else "%.2f")
        self._bar.SetLookupTable(table)
        self._bar.SetTitle(title)
        self._renderer.AddViewProp(self._bar)

    def hide(self) -> None:
        self._renderer.RemoveViewProp(self._bar)
