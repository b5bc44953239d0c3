"""One slice view with the comparison: an image over Slicer's own, lines, a scale bar, mouse interaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import slicer
import vtk
from slicer.util import VTKObservationMixin
from SynthRegLib.review import Direction, Mode

from SynthReviewLib.colours import ScaleBar, diverging
from SynthReviewLib.contour import Contour
from SynthReviewLib.deformation import VolumeChange
from SynthReviewLib.difference import Difference
from SynthReviewLib.image_actor import ImageActor
from SynthReviewLib.regions import Checkerboard, SplitRegion
from SynthReviewLib.split_handle import REACH, SplitDragging, SplitLine
from SynthReviewLib.split_image import SplitImage

_HANDLE = 5


@dataclass(frozen=True)
class ViewSettings:
    """Settings of all views. windows: of A and B, if the difference is relative to them. limit: of the colour range.
    transform: whose Jacobian map is shown, or None."""

    mode: Mode
    region: SplitRegion | Checkerboard | None = None
    windows: tuple[tuple[float, float], tuple[float, float]] | None = None
    limit: float = 1.0
    difference_title: str = ""
    contour: float = 0.0
    transform: slicer.vtkMRMLTransformNode | None = None
    change_title: str = ""
    map_opacity: float = 1.0


class ComparedView(VTKObservationMixin):
    """widget: the qMRMLSliceWidget. moved: called with the region that the user dragged."""

    def __init__(self, widget, moved: Callable[[SplitRegion | Checkerboard], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._logic = widget.sliceLogic()
        self._node = widget.mrmlSliceNode()
        self._view = widget.sliceView()
        self._moved = moved
        renderer = self._view.renderWindow().GetRenderers().GetFirstRenderer()
        self._split, self._difference, self._volume_change = SplitImage(), Difference(), VolumeChange()
        self._image, self._change = ImageActor(renderer), ImageActor(renderer)
        self._contour = Contour(renderer)
        self._bar, self._mark = ScaleBar(renderer), SplitLine(renderer)
        self._settings: ViewSettings | None = None
        self._refreshing = False
        self._held: tuple[int, int, tuple[float, float]] | None = None
        self.addObserver(self._node, vtk.vtkCommand.ModifiedEvent, self._on_changed)
        self.addObserver(self._logic, vtk.vtkCommand.ModifiedEvent, self._on_changed)
        self._dragging = SplitDragging(self._view.interactor(), self._takes, self._drag)

    def show(self, look: ViewSettings | None) -> None:
        """Show these settings; None removes everything."""
        self._settings = look
        self._refresh()
        self._view.scheduleRender()

    def stop(self) -> None:
        self.removeObservers()
        self._dragging.stop()
        self.show(None)

    def _on_changed(self, caller=None, event=None) -> None:
        if self._settings is not None:
            self._refresh()

    def _refresh(self) -> None:
        if self._refreshing:
            return
        self._refreshing = True
        try:
            shown = set()
            if self._settings is not None and min(self._node.GetDimensions()[:2]) > 1:
                shown = self._draw(self._settings)
            for piece in (self._image, self._change, self._contour, self._bar, self._mark):
                if piece not in shown:
                    piece.hide()
        finally:
            self._refreshing = False

    def _draw(self, look: ViewSettings) -> set:
        """Update the visible parts."""
        shown = set()
        if look.region is not None:
            shown |= self._draw_region(look.region)
        elif look.mode is Mode.DIFFERENCE:
            table = diverging(-look.limit, look.limit, look.map_opacity)
            image = self._difference.connect(self._logic, look.windows, table)
            if image is not None:
                self._image.show(image)
                self._bar.show(diverging(-look.limit, look.limit), look.difference_title)
                shown |= {self._image, self._bar}
        elif look.mode is Mode.CONTOUR and self._contour.show(self._logic.GetForegroundLayer(), look.contour):
            shown.add(self._contour)
        if look.transform is not None:
            table = diverging(0.0, 2.0, look.map_opacity, clear_middle=True, folded=True)
            self._change.show(self._volume_change.connect(self._node, look.transform, table))
            shown.add(self._change)
            if self._bar not in shown:
                self._bar.show(diverging(0.0, 2.0, folded=True), look.change_title)
                shown.add(self._bar)
        return shown

    def _draw_region(self, region: SplitRegion | Checkerboard) -> set:
        image = self._split.connect(self._logic)
        if image is None:
            return set()
        self._split.set_region(region.mask(self._node))
        self._image.show(image)
        width, height = self._node.GetDimensions()[:2]
        if isinstance(region, Checkerboard):
            x, y = region.corner(self._node)
            sides = ((-_HANDLE, 0), (0, _HANDLE), (_HANDLE, 0), (0, -_HANDLE), (-_HANDLE, 0))
            self._mark.show([(x + dx, y + dy) for dx, dy in sides])
        elif region.direction is Direction.ACROSS:
            x = region.line(self._node)
            self._mark.show([(x, 0), (x, height)])
        else:
            y = height - region.line(self._node)
            self._mark.show([(0, y), (width, y)])
        return {self._image, self._mark}

    def _takes(self, x: int, y: int) -> bool:
        region = self._settings.region if self._settings is not None else None
        if region is None:
            return False
        if isinstance(region, Checkerboard):
            at_x, at_y = region.corner(self._node)
            self._held = (x, y, region.offset_mm)
            return abs(x - at_x) <= REACH and abs(y - at_y) <= REACH
        if region.direction is Direction.ACROSS:
            return abs(x - region.line(self._node)) <= REACH
        return abs(self._node.GetDimensions()[1] - y - region.line(self._node)) <= REACH

    def _drag(self, x: int, y: int) -> None:
        region = self._settings.region if self._settings is not None else None
        width, height = self._node.GetDimensions()[:2]
        if isinstance(region, Checkerboard):
            from_x, from_y, (across, up) = self._held
            mm = self._node.GetFieldOfView()[0] / width
            self._moved(Checkerboard(region.block_mm, (across + (x - from_x) * mm, up + (y - from_y) * mm)))
        elif isinstance(region, SplitRegion):
            share = x / width if region.direction is Direction.ACROSS else (height - y) / height
            self._moved(SplitRegion(min(max(share, 0.0), 1.0), region.direction))
