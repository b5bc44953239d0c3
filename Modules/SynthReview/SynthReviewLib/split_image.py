"""Two slice images in one: B in a region, A elsewhere, labels over both. No volume is created.

Both images come from the slice view's pipeline, so that resampling, transforms, window and colours are Slicer's. A
change of the region resamples nothing.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy


class SplitImage:
    def __init__(self) -> None:
        self._canvas = vtk.vtkTrivialProducer()
        self._opaque = [vtk.vtkImageBlend(), vtk.vtkImageBlend()]
        self._mask = vtk.vtkImageData()
        self._producer = vtk.vtkTrivialProducer()
        self._producer.SetOutput(self._mask)
        self._region = vtk.vtkImageToImageStencil()
        self._region.ThresholdByUpper(1)
        self._region.SetInputConnection(self._producer.GetOutputPort())
        self._both = vtk.vtkImageStencil()
        self._both.SetInputConnection(0, self._opaque[1].GetOutputPort())
        self._both.SetInputConnection(1, self._opaque[0].GetOutputPort())
        self._both.SetStencilConnection(self._region.GetOutputPort())
        self._labelled = vtk.vtkImageBlend()

    def connect(self, logic: slicer.vtkMRMLSliceLogic) -> vtk.vtkAlgorithmOutput | None:
        """Return the combined image of both layers; None if one of them is empty."""
        layers = (logic.GetBackgroundLayer(), logic.GetForegroundLayer(), logic.GetLabelLayer())
        behind, front, labels = (_output(layer) for layer in layers)
        if behind is None or front is None:
            return None
        self._resize(logic.GetSliceNode().GetDimensions()[:2])
        for blend, image in zip(self._opaque, (behind, front)):
            _feed(blend, [(self._canvas.GetOutputPort(), 1.0), (image, 1.0)])
        if labels is None:
            return self._both.GetOutputPort()
        opacity = logic.GetSliceCompositeNode().GetLabelOpacity()
        _feed(self._labelled, [(self._both.GetOutputPort(), 1.0), (labels, opacity)])
        return self._labelled.GetOutputPort()

    def set_region(self, mask: np.ndarray) -> None:
        """mask: (height, width) bool of the view's size, first row at the bottom; True where B is shown."""
        height, width = mask.shape
        self._resize((width, height))
        array = self._mask.GetPointData().GetScalars()
        vtk_to_numpy(array).reshape(height, width)[:] = mask
        array.Modified()
        self._mask.Modified()

    def _resize(self, size: tuple[int, int]) -> None:
        """Resize the black background and the mask."""
        if tuple(self._mask.GetDimensions()[:2]) == tuple(size):
            return
        width, height = size
        black = np.zeros((width * height, 4), np.uint8)
        black[:, 3] = 255
        canvas = vtk.vtkImageData()
        canvas.SetDimensions(width, height, 1)
        canvas.GetPointData().SetScalars(numpy_to_vtk(black, deep=True))
        self._canvas.SetOutput(canvas)
        self._mask.SetDimensions(width, height, 1)
        self._mask.GetPointData().SetScalars(numpy_to_vtk(np.zeros(width * height, np.uint8), deep=True))


def _output(layer: slicer.vtkMRMLSliceLayerLogic) -> vtk.vtkAlgorithmOutput | None:
    return layer.GetImageDataConnection() if layer is not None and layer.GetVolumeNode() is not None else None


def _feed(blend: vtk.vtkImageBlend, layers: list[tuple[vtk.vtkAlgorithmOutput, float]]) -> None:
    """Set the inputs only if they changed, as a blend with new inputs is recomputed."""
    now = [blend.GetInputConnection(0, n) for n in range(blend.GetNumberOfInputConnections(0))]
    if [_place(port) for port in now] != [_place(port) for port, _ in layers]:
        blend.RemoveAllInputs()
        for port, _ in layers:
            blend.AddInputConnection(port)
    for n, (_, opacity) in enumerate(layers):
        blend.SetOpacity(n, opacity)


def _place(port: vtk.vtkAlgorithmOutput) -> tuple[str, int]:
    return port.GetProducer().GetAddressAsString(""), port.GetIndex()
