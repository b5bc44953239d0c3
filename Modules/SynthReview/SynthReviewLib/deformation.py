"""Display of a transform in the views: deformed grid and Jacobian map."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from SynthRegLib.node_geometry import between, mapped
from vtk.util.numpy_support import numpy_to_vtk

_MAX_POINTS = 15_000
_STEP_MM = 0.5


def volume_change(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    """Return (N,) Jacobian determinants at (N, 3) points, by central differences over 1 mm."""
    columns = []
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = _STEP_MM
        columns.append((mapped(transform, points + step) - mapped(transform, points - step)) / (2 * _STEP_MM))
    return np.linalg.det(np.stack(columns, axis=-1))


def pulled(transform: slicer.vtkMRMLTransformNode) -> vtk.vtkGeneralTransform:
    """Return the transform by which images are resampled: world -> space under the transform."""
    return between(None, transform)


class VolumeChange:
    """Jacobian map in a slice view; above 1 the moving image is contracted there."""

    def __init__(self) -> None:
        self._samples = vtk.vtkTrivialProducer()
        self._resize = vtk.vtkImageResize()
        self._resize.SetInputConnection(self._samples.GetOutputPort())
        self._colours = vtk.vtkImageMapToColors()
        self._colours.SetOutputFormatToRGBA()
        self._colours.SetInputConnection(self._resize.GetOutputPort())

    def connect(
        self, node: slicer.vtkMRMLSliceNode, transform: slicer.vtkMRMLTransformNode, table: vtk.vtkLookupTable
    ) -> vtk.vtkAlgorithmOutput:
        """Sample every few pixels (at most about 15 000 points per view) and interpolate."""
        width, height = node.GetDimensions()[:2]
        step = max(1.0, (width * height / _MAX_POINTS) ** 0.5)
        columns, rows = max(2, round(width / step)), max(2, round(height / step))
        x, y = np.meshgrid(np.linspace(0, width - 1, columns), np.linspace(0, height - 1, rows))
        to_ras = slicer.util.arrayFromVTKMatrix(node.GetXYToRAS())
        flat = np.stack([x.ravel(), y.ravel()], axis=-1)
        points = flat @ to_ras[:3, :2].T + to_ras[:3, 3]
        samples = vtk.vtkImageData()
        samples.SetDimensions(columns, rows, 1)
        values = volume_change(pulled(transform), points).astype(np.float32)
        samples.GetPointData().SetScalars(numpy_to_vtk(values, deep=True))
        self._samples.SetOutput(samples)
        self._resize.SetOutputDimensions(width, height, 1)
        self._colours.SetLookupTable(table)
        return self._colours.GetOutputPort()


class Grid:
    """The transform's own display as a grid over an image; `hide` restores it."""

    def __init__(self) -> None:
        self._display: slicer.vtkMRMLTransformDisplayNode | None = None
        self._before: tuple = ()

    def show(self, transform: slicer.vtkMRMLTransformNode, over: slicer.vtkMRMLVolumeNode) -> None:
        if transform.GetDisplayNode() is None:
            transform.CreateDefaultDisplayNodes()
        display = transform.GetDisplayNode()
        if display is not self._display:
            self.hide()
            self._display = display
            self._before = (
                display.GetVisibility(),
                display.GetVisibility2D(),
                display.GetVisualizationMode(),
                display.GetRegionNode(),
            )
        display.SetAndObserveRegionNode(over)
        display.SetVisualizationMode(slicer.vtkMRMLTransformDisplayNode.VIS_MODE_GRID)
        display.SetVisibility2D(True)
        display.SetVisibility(True)

    def hide(self) -> None:
        display, self._display = self._display, None
        if display is None or display.GetScene() is None:
            return
        shown, shown_2d, mode, region = self._before
        display.SetVisibility(shown)
        display.SetVisibility2D(shown_2d)
        display.SetVisualizationMode(mode)
        display.SetAndObserveRegionNode(region)
