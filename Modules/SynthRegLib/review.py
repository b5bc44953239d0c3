"""Parameters of SynthReview, and the function by which other modules open it."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
import enum
from typing import Annotated, Optional, Union

import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

MODULE = "SynthReview"

_Labels = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]
_Transform = Union[
    slicer.vtkMRMLLinearTransformNode,
    slicer.vtkMRMLGridTransformNode,
    slicer.vtkMRMLBSplineTransformNode,
    slicer.vtkMRMLTransformNode,
    None,
]


class Mode(enum.Enum):
    """Display mode of two images in one view."""

    FADE = "fade"
    FLICKER = "flicker"
    WIPE = "wipe"
    CHECKERBOARD = "checkerboard"
    DIFFERENCE = "difference"
    CONTOUR = "contour"

    def label(self) -> str:
        return {
            Mode.FADE: _("Opacity"),
            Mode.FLICKER: _("Flicker"),
            Mode.WIPE: _("Split (wipe)"),
            Mode.CHECKERBOARD: _("Checkerboard"),
            Mode.DIFFERENCE: _("Difference"),
            Mode.CONTOUR: _("Contour of B on A"),
        }[self]


class Direction(enum.Enum):
    """Direction of the split: A on the left, or above."""

    ACROSS = "across"
    DOWN = "down"

    def label(self) -> str:
        return {Direction.ACROSS: _("A left, B right"), Direction.DOWN: _("A above, B below")}[self]


class Units(enum.Enum):
    """Units of the difference: values, or relative to each window."""

    VALUES = "values"
    WINDOW = "window"

    def label(self) -> str:
        return {Units.VALUES: _("as stored (HU in CT)"), Units.WINDOW: _("normalised by each window")}[self]


@parameterNodeWrapper
class SynthReviewParameterNode:
    """first, second: images A and B. transform: of the registration of B to A. labels: named in the probe. opacity: of
    B. position: of the split line, relative to the view. range: of the difference's colours, in per cent of A's window.
    contour: isovalue, in per cent of B's window."""

    first: slicer.vtkMRMLScalarVolumeNode
    second: slicer.vtkMRMLScalarVolumeNode
    transform: _Transform
    labels: _Labels
    mode: Mode = Mode.FADE
    opacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    flickerHz: Annotated[float, WithinRange(0.2, 8.0)] = 1.0
    position: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    direction: Direction = Direction.ACROSS
    blockMm: Annotated[float, WithinRange(2.0, 100.0)] = 25.0
    units: Units = Units.VALUES
    range: Annotated[float, WithinRange(1.0, 200.0)] = 50.0
    contour: Annotated[float, WithinRange(0.0, 100.0)] = 50.0
    showGrid: bool = False
    showJacobian: bool = False
    linkWindows: bool = False


def show(
    first: slicer.vtkMRMLScalarVolumeNode,
    second: slicer.vtkMRMLScalarVolumeNode,
    transform: Optional[slicer.vtkMRMLTransformNode] = None,
    labels: Optional[slicer.vtkMRMLDisplayableNode] = None,
    mode: Optional[Mode] = None,
    link_windows: Optional[bool] = None,
) -> None:
    """Open SynthReview with two images. mode, link_windows: None keeps the user's choice."""
    parameters = slicer.util.getModuleLogic(MODULE).getParameterNode()
    parameters.first, parameters.second = first, second
    parameters.transform, parameters.labels = transform, labels
    if mode is not None:
        parameters.mode = mode
    if link_windows is not None:
        parameters.linkWindows = link_windows
    slicer.util.selectModule(MODULE)
