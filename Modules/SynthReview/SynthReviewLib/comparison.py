"""Two images in all slice views at once, as the parameter node says."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _
from SynthRegLib.review import Mode, SynthReviewParameterNode, Units

from SynthReviewLib.comparedview import ComparedView, Look
from SynthReviewLib.deformation import Grid
from SynthReviewLib.regions import Checkerboard, Wipe
from SynthReviewLib.windows import LinkedWindows, window_of

_MAP_OPACITY = 0.85


class Comparison:
    """wiped: called with the split line's new place when the user drags it."""

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
        """With fewer than two images: what there is, and nothing over it."""
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
        """Take everything of ours out of the views; the two images stay, faded."""
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
        """B alone, and back: by itself in flicker mode, by a key in every mode."""
        if self._parameters is not None and self._comparable():
            self._second_alone = not self._second_alone
            self._set_opacity()
            self._redraw()

    def _place(self) -> None:
        """Both images into all views, in three linked planes."""
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
        """Of B in Slicer's own blending: only fade and flicker use it, whatever else is drawn lies over A."""
        opacity = self._parameters.opacity if self._parameters.mode is Mode.FADE else 0.0
        for composite in _composites():
            composite.SetForegroundOpacity(1.0 if self._second_alone else opacity)

    def _redraw(self) -> None:
        if self._parameters is None:
            return
        look = self._look() if self._comparable() and not self._second_alone else None
        for view in self._views:
            view.show(look)

    def _comparable(self) -> bool:
        first, second = self._shown or (None, None)
        return first is not second and all(
            image is not None and image.GetImageData() is not None for image in (first, second)
        )

    def _look(self) -> Look:
        parameters = self._parameters
        windows = tuple(window_of(image) for image in self._shown)
        (window, _level), (other, other_level) = windows
        normalised = parameters.units is Units.WINDOW
        limit = parameters.range if normalised else parameters.range / 100 * window
        return Look(
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

    def _region(self) -> Wipe | Checkerboard | None:
        parameters = self._parameters
        if parameters.mode is Mode.WIPE:
            return Wipe(parameters.position, parameters.direction)
        if parameters.mode is Mode.CHECKERBOARD:
            return Checkerboard(parameters.blockMm, self._offset_mm)
        return None

    def _moved(self, region: Wipe | Checkerboard) -> None:
        if isinstance(region, Wipe):
            self._wiped(region.position)
        else:
            self._offset_mm = region.offset_mm
            self._redraw()


def _composites() -> list[slicer.vtkMRMLSliceCompositeNode]:
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def _label_map(parameters: SynthReviewParameterNode) -> slicer.vtkMRMLLabelMapVolumeNode | None:
    """For the views' label layer, as an outline; a segmentation shows itself."""
    labels = parameters.labels
    return labels if labels is not None and labels.IsA("vtkMRMLLabelMapVolumeNode") else None
