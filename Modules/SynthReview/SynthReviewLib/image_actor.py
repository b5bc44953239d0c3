"""An RGB image over the slice image, under Slicer's own annotations."""

from __future__ import annotations

import vtk


class ImageActor:
    """Image in the renderer of one slice view, hidden at first."""

    def __init__(self, renderer: vtk.vtkRenderer) -> None:
        self._renderer = renderer
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()

    def show(self, image: vtk.vtkAlgorithmOutput) -> None:
        """image: RGB or RGBA bytes of the view's size. The last one shown is on top."""
        self._mapper.SetInputConnection(image)
        if not self._is_last():
            self.hide()
            self._renderer.AddViewProp(self._actor)

    def hide(self) -> None:
        self._renderer.RemoveViewProp(self._actor)

    def _is_last(self) -> bool:
        """Return whether no other image came into the renderer later."""
        props = self._renderer.GetViewProps()
        place = props.IsItemPresent(self._actor)  # counted from 1, 0 for none
        after = (props.GetItemAsObject(n) for n in range(place, props.GetNumberOfItems()))
        return place > 0 and not any(
            isinstance(prop, vtk.vtkActor2D) and isinstance(prop.GetMapper(), vtk.vtkImageMapper) for prop in after
        )
