"""A slice view drawn offscreen by Slicer's own slice logic, displayable managers and interactor style.

Different from a real Slicer: one slice in a view (no light box), no corner annotations (Slicer's DataProbe module
writes them), and the view is drawn when somebody looks at it, or when the module asks for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
)
SIZE = (400, 400)
BACKGROUND = (0.0, 0.0, 0.0)


class SliceView:
    """The view of one vtkMRMLSliceNode: (width, height) pixels, white text on black as Slicer's."""

    def __init__(self, node: Any, application_logic: Any, scene: Any) -> None:
        self.node = node
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        self.logic.SetMRMLScene(scene)
        self.logic.SetSliceNode(node)
        application_logic.GetSliceLogics().AddItem(self.logic)
        self._make_window()
        self._make_image()
        self._make_managers(application_logic)
        self.resize(*SIZE)

    def _make_window(self) -> None:
        self.renderer = vtk.vtkRenderer()
        self.renderer.SetBackground(*BACKGROUND)
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())

    def _make_image(self) -> None:
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()

    def _make_managers(self, application_logic: Any) -> None:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application_logic)
        for name in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers = factory.InstantiateDisplayableManagers(self.renderer)
        self.managers.SetMRMLDisplayableNode(self.node)
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()
        self.style.SetSliceLogic(self.logic)
        self.style.SetDisplayableManagers(self.managers)
        self.style.SetInteractor(self.interactor)
        self.interactor.Initialize()

    def resize(self, width: int, height: int) -> None:
        self.window.SetSize(width, height)
        self.interactor.UpdateSize(width, height)
        self.logic.ResizeSliceNode(width, height)

    def render(self) -> None:
        image = self.logic.GetImageDataConnection()
        self._mapper.SetInputConnection(image)
        shown = image is not None
        if shown != bool(self.renderer.HasViewProp(self._actor)):
            (self.renderer.AddViewProp if shown else self.renderer.RemoveViewProp)(self._actor)
        self.window.Render()

    def pixels(self) -> np.ndarray:
        """(height, width, 3) uint8, the first row on top."""
        self.render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()

    def mouse(self, event: str, x: int, y: int, shift: bool = False, control: bool = False) -> None:
        """One event of the interactor at a pixel counted from the top left."""
        height = self.window.GetSize()[1]
        self.interactor.SetEventInformation(x, height - 1 - y, int(control), int(shift), "\0", 0, None)
        self.interactor.InvokeEvent(event)

    def pixel_of(self, ras: Any) -> tuple[int, int]:
        """Where the view shows a point, RAS mm, counted from the top left."""
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), matrix)
        x, y, _, _ = matrix.MultiplyPoint((*ras, 1.0))
        return round(x), round(self.window.GetSize()[1] - 1 - y)
