"""Difference B minus A, computed in the sampled slices, for any grids and transforms."""

from __future__ import annotations

import slicer
import vtk


class Difference:
    """The coloured difference of both layers of a slice view; transparent outside of either image."""

    def __init__(self) -> None:
        self._scaled = [vtk.vtkImageShiftScale(), vtk.vtkImageShiftScale()]
        self._minus = vtk.vtkImageMathematics()
        self._minus.SetOperationToSubtract()
        self._within = [vtk.vtkImageStencil(), vtk.vtkImageStencil()]
        self._colours = vtk.vtkImageMapToColors()
        self._colours.SetOutputFormatToRGBA()
        for scaled in self._scaled:
            scaled.SetOutputScalarTypeToFloat()
        self._minus.SetInputConnection(0, self._scaled[1].GetOutputPort())
        self._minus.SetInputConnection(1, self._scaled[0].GetOutputPort())
        self._within[0].SetInputConnection(self._minus.GetOutputPort())
        self._within[1].SetInputConnection(self._within[0].GetOutputPort())
        for within in self._within:
            within.SetBackgroundValue(float("nan"))
        self._colours.SetInputConnection(self._within[1].GetOutputPort())

    def connect(
        self, logic: slicer.vtkMRMLSliceLogic, windows: list[tuple[float, float]] | None, table: vtk.vtkLookupTable
    ) -> vtk.vtkAlgorithmOutput | None:
        """Return the coloured image; None for an empty layer or several values per voxel. windows: (window, level) of A
        and B for relative values in per cent; None for the values themselves."""
        layers = (logic.GetBackgroundLayer(), logic.GetForegroundLayer())
        if any(layer is None or not _is_scalar(layer.GetVolumeNode()) for layer in layers):
            return None
        for n, layer in enumerate(layers):
            reslice = layer.GetReslice()
            self._scaled[n].SetInputConnection(reslice.GetOutputPort(0))
            self._within[n].SetStencilConnection(reslice.GetOutputPort(1))
            window, level = windows[n] if windows else (100.0, 50.0)
            self._scaled[n].SetShift(window / 2 - level)
            self._scaled[n].SetScale(100.0 / window)
        self._colours.SetLookupTable(table)
        return self._colours.GetOutputPort()


def _is_scalar(volume: slicer.vtkMRMLVolumeNode | None) -> bool:
    image = volume.GetImageData() if volume is not None else None
    return image is not None and image.GetNumberOfScalarComponents() == 1
