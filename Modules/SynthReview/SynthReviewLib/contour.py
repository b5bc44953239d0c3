"""Isocontour of image B in a slice view, computed in the sampled slice."""

from __future__ import annotations

import slicer
import vtk

COLOUR = (1.0, 0.85, 0.1)


class Contour:
    def __init__(self, renderer: vtk.vtkRenderer) -> None:
        self._renderer = renderer
        self._within = vtk.vtkImageStencil()
        self._edges = vtk.vtkFlyingEdges2D()
        self._edges.SetInputConnection(self._within.GetOutputPort())
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputConnection(self._edges.GetOutputPort())
        mapper.ScalarVisibilityOff()
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(*COLOUR)
        self._actor.GetProperty().SetLineWidth(2)

    def show(self, layer: slicer.vtkMRMLSliceLayerLogic, value: float) -> bool:
        """Show the contour of the layer's volume; return False without a volume of one value per voxel."""
        volume = layer.GetVolumeNode()
        if volume is None or volume.GetImageData() is None or volume.GetImageData().GetNumberOfScalarComponents() != 1:
            return False
        reslice = layer.GetReslice()
        self._within.SetInputConnection(reslice.GetOutputPort(0))
        self._within.SetStencilConnection(reslice.GetOutputPort(1))
        self._within.SetBackgroundValue(volume.GetImageData().GetScalarRange()[0])
        self._edges.SetValue(0, value)
        self._renderer.AddViewProp(self._actor)
        return True

    def hide(self) -> None:
        self._renderer.RemoveViewProp(self._actor)
