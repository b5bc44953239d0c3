"""Window and level: presets, and linked windows of two images."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from SynthRegLib.display import set_window


def preset_labels() -> dict[str, str]:
    """Return the titles of the backend's presets (reader_study), which are in HU."""
    return {
        "brain": _("CT brain"),
        "stroke": _("CT stroke"),
        "mediastinum": _("CT mediastinum"),
        "lung": _("CT lung"),
        "liver": _("CT liver"),
        "abdomen": _("CT abdomen"),
        "bone": _("CT bone"),
    }


def window_of(volume: slicer.vtkMRMLScalarVolumeNode) -> tuple[float, float]:
    """Return (window, level); the window is never zero."""
    display = volume.GetDisplayNode()
    if display is None:
        low, high = volume.GetImageData().GetScalarRange()
        return max(high - low, 1e-6), (low + high) / 2
    return max(display.GetWindow(), 1e-6), display.GetLevel()


def from_image(volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Set window and level automatically."""
    display = volume.GetDisplayNode() if volume is not None else None
    if display is not None:
        display.SetAutoWindowLevel(True)


class LinkedWindows(VTKObservationMixin):
    """Copies window and level from the image that the user changes to the other. changed: called afterwards."""

    def __init__(self, changed: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._volumes: list[slicer.vtkMRMLScalarVolumeNode] = []
        self._changed = changed
        self._linked = False
        self._following = False

    def watch(self, volumes: list[slicer.vtkMRMLScalarVolumeNode], linked: bool) -> None:
        """Observe these volumes only."""
        if volumes != self._volumes:
            self.forget()
            self._volumes = list(volumes)
            for volume in volumes:
                if volume.GetDisplayNode() is not None:
                    self.addObserver(volume.GetDisplayNode(), vtk.vtkCommand.ModifiedEvent, self._on_changed)
        if linked and not self._linked and volumes:
            self._linked = True
            self._on_changed(volumes[0].GetDisplayNode())
        self._linked = linked

    def forget(self) -> None:
        self.removeObservers()
        self._volumes = []
        self._linked = False

    def _on_changed(self, display, event=None) -> None:
        if self._following or display is None:
            return
        if self._linked:
            self._following = True
            for volume in self._volumes:
                if volume.GetDisplayNode() is not display:
                    set_window(volume, display.GetWindow(), display.GetLevel())
            self._following = False
        self._changed()
