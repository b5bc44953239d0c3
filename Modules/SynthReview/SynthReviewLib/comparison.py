"""Comparison of two images in all slice views."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _
from SynthRegLib.review import Mode, SynthReviewParameterNode, Units

from SynthReviewLib.compared_view import ComparedView, ViewSettings
from SynthReviewLib.deformation import Grid
from SynthReviewLib.regions import Checkerboard, SplitRegion
from SynthReviewLib.window_level import LinkedWindows, window_of

_MAP_OPACITY = 0.85


class Comparison:
    """wiped: called with the new position of the dragged split line."""

    def __init__(self, wiped: Callable[[float], None]) -> None:
        self._wiped = wiped
        self._views: list[ComparedView] = []
        self._parameters: SynthReviewParameterNode | None = None
        self._shown: tuple = ()
        self._labels: slicer.vtkMRMLLabelMapVolumeNode | None = None
        self._offset_mm = (0.0, 0.0)
        self._grid = Grid()
        self._windows = LinkedWindows(self._redraw)
        self._second_alone = False
        self._flicker = qt.QTimer()
        self._flicker.connect("timeout()", self.swap)

    def show(self, parameters: SynthReviewParameterNode) -> None:
        """Show the comparison; with fewer than two images only what there is."""
        self._parameters = parameters
        images = (parameters.first, parameters.second)
        if images != self._shown and any(images + self._shown):
            self._shown = images
            self._place()
        labels = _label_map(parameters)
        if labels is not self._labels:
            self._labels = labels
            for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
                node.SetUseLabelOutline(True)
            slicer.util.setSliceViewerLayers(label=labels)
        self._windows.watch([image for image in dict.fromkeys(images) if image is not None], parameters.linkWindows)
        self._second_alone = False
        if parameters.mode is Mode.FLICKER and self._comparable():
            self._flicker.start(round(1000 / parameters.flickerHz))
        else:
            self._flicker.stop()
        if any(images):
            self._set_opacity()
        if parameters.showGrid and parameters.transform is not None and parameters.first is not None:
            self._grid.show(parameters.transform, parameters.first)
        else:
            self._grid.hide()
        self._redraw()

    def stop(self) -> None:
        """Remove the comparison from the views; the two images stay, blended."""
        self._flicker.stop()
        self._windows.forget()
        self._grid.hide()
        for view in self._views:
            view.stop()
        if self._parameters is not None and any(self._shown):
            for composite in _composites():
                composite.SetForegroundOpacity(self._parameters.opacity)
        self._views = []
        self._parameters = self._labels = None
        self._shown = ()

    def swap(self) -> None:
        """Show B alone, and back; periodically in flicker mode, by a key in every mode."""
        if self._parameters is not None and self._comparable():
            self._second_alone = not self._second_alone
            self._set_opacity()
            self._redraw()

    def _place(self) -> None:
        """Show both images in all views, in three linked planes."""
        self._offset_mm = (0.0, 0.0)
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        if not {"Red", "Yellow", "Green"} <= set(manager.sliceViewNames()):
            manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        for view in self._views:
            view.stop()
        widgets = [manager.sliceWidget(name) for name in manager.sliceViewNames()]
        self._views = [ComparedView(widget, self._moved) for widget in widgets if widget is not None]
        first, second = self._shown
        for composite in _composites():
            composite.SetLinkedControl(True)
            composite.SetHotLinkedControl(True)
        behind, front = (first, second) if first is not None else (second, None)
        slicer.util.setSliceViewerLayers(background=behind, foreground=front, fit=True)

    def _set_opacity(self) -> None:
        """Set the opacity of B in Slicer's blending, which only the modes opacity and flicker use."""
        opacity = self._parameters.opacity if self._parameters.mode is Mode.FADE else 0.0
        for composite in _composites():
            composite.SetForegroundOpacity(1.0 if self._second_alone else opacity)

    def _redraw(self) -> None:
        if self._parameters is None:
            return
        look = self._settings() if self._comparable() and not self._second_alone else None
        for view in self._views:
            view.show(look)

    def _comparable(self) -> bool:
        first, second = self._shown or (None, None)
        return first is not second and all(
            image is not None and image.GetImageData() is not None for image in (first, second)
        )

    def _settings(self) -> ViewSettings:
        parameters = self._parameters
        windows = tuple(window_of(image) for image in self._shown)
        (window, _level), (other, other_level) = windows
        normalised = parameters.units is Units.WINDOW
        limit = parameters.range if normalised else parameters.range / 100 * window
        return ViewSettings(
            mode=parameters.mode,
            region=self._region(),
            windows=windows if normalised else None,
            limit=limit,
            difference_title=_("B - A, %") if normalised else _("B - A"),
            contour=other_level + (parameters.contour / 100 - 0.5) * other,
            transform=parameters.transform if parameters.showJacobian else None,
            change_title=_("Jacobian"),
            map_opacity=_MAP_OPACITY,
        )

    def _region(self) -> SplitRegion | Checkerboard | None:
        parameters = self._parameters
        if parameters.mode is Mode.WIPE:
            return SplitRegion(parameters.position, parameters.direction)
        if parameters.mode is Mode.CHECKERBOARD:
            return Checkerboard(parameters.blockMm, self._offset_mm)
        return None

    def _moved(self, region: SplitRegion | Checkerboard) -> None:
        if isinstance(region, SplitRegion):
            self._wiped(region.position)
        else:
            self._offset_mm = region.offset_mm
            self._redraw()


def _composites() -> list[slicer.vtkMRMLSliceCompositeNode]:
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def _label_map(parameters: SynthReviewParameterNode) -> slicer.vtkMRMLLabelMapVolumeNode | None:
    """Return the label map of the label layer, as an outline; segmentations have their own display."""
    labels = parameters.labels
    return labels if labels is not None and labels.IsA("vtkMRMLLabelMapVolumeNode") else None
