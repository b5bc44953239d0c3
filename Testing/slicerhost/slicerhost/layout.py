"""`slicer.app.layoutManager()`: the real layout logic makes the view nodes, the host draws the slice views among them.

Different from a real Slicer: 3-D, table and plot views have nodes and are not drawn (`threeDWidget` is None), views
have no place on a screen, and their widgets are plain Python objects with the methods that scripts use.
"""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore

from slicerhost.sliceview import SliceView


class SliceViewWidget:
    """`sliceWidget(name).sliceView()`."""

    def __init__(self, view: SliceView) -> None:
        self._view = view

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def renderWindow(self) -> Any:
        return self._view.window

    def interactor(self) -> Any:
        return self._view.interactor

    def interactorObserver(self) -> Any:
        return self._view.style

    def sliceViewInteractorStyle(self) -> Any:
        return self._view.style

    def displayableManagerByClassName(self, name: str) -> Any:
        return self._view.managers.GetDisplayableManagerByClassName(name)

    def forceRender(self) -> None:
        self._view.render()

    scheduleRender = forceRender


class SliceController:
    def __init__(self, view: SliceView) -> None:
        self._view = view

    def fitSliceToBackground(self) -> None:
        self._view.logic.FitSliceToBackground()

    def setSliceLink(self, linked: bool) -> None:
        composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        for composite in composites:
            composite.SetLinkedControl(linked)

    def setSliceVisible(self, visible: bool) -> None:
        self._view.node.SetSliceVisible(visible)


class SliceWidget:
    """`layoutManager().sliceWidget(name)`."""

    def __init__(self, view: SliceView) -> None:
        self._view = view
        self._slice_view = SliceViewWidget(view)
        self._controller = SliceController(view)

    def sliceLogic(self) -> Any:
        return self._view.logic

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._view.logic.GetSliceCompositeNode()

    def sliceView(self) -> SliceViewWidget:
        return self._slice_view

    def sliceController(self) -> SliceController:
        return self._controller

    def fitSliceToBackground(self) -> None:
        self._view.logic.FitSliceToBackground()


class LayoutManager(QtCore.QObject):
    layoutChanged = QtCore.Signal(int)

    def __init__(self, scene: Any, application_logic: Any) -> None:
        super().__init__()
        self._scene = scene
        self._application_logic = application_logic
        self._views: dict[str, SliceView] = {}
        self._widgets: dict[str, SliceWidget] = {}
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._logic.SetMRMLScene(scene)
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def layoutLogic(self) -> Any:
        return self._logic

    def mrmlScene(self) -> Any:
        return self._scene

    def setLayout(self, arrangement: int) -> None:
        self._logic.GetLayoutNode().SetViewArrangement(arrangement)
        for node in self._nodes("vtkMRMLSliceNode"):
            self.view(node.GetLayoutName())
        self.layoutChanged.emit(arrangement)

    def _read_layout(self) -> int:
        return self._logic.GetLayoutNode().GetViewArrangement()

    layout = QtCore.Property(int, _read_layout, setLayout)

    def _nodes(self, class_name: str) -> list[Any]:
        nodes = self._logic.GetViewNodes()
        every = [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
        return [node for node in every if node is not None and node.IsA(class_name)]

    def sliceViewNames(self) -> list[str]:
        return [node.GetLayoutName() for node in self._nodes("vtkMRMLSliceNode")]

    def view(self, name: str) -> SliceView:
        """The host's own: the view of this layout name, made on first use."""
        if name not in self._views:
            node = self._scene.GetFirstNode(None, "vtkMRMLSliceNode") and next(
                (one for one in slicer.util.getNodesByClass("vtkMRMLSliceNode") if one.GetLayoutName() == name), None
            )
            if node is None:
                raise LookupError(f"Found no slice view {name!r}; the layout has {self.sliceViewNames()}")
            self._views[name] = SliceView(node, self._application_logic, self._scene)
            self._widgets[name] = SliceWidget(self._views[name])
        return self._views[name]

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._widgets.get(name)

    def mrmlSliceLogics(self) -> Any:
        return self._application_logic.GetSliceLogics()

    def threeDWidget(self, index: int) -> None:
        return None

    threeDViewCount = 0

    def resetSliceViews(self) -> None:
        for view in self._views.values():
            view.logic.FitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """Nothing is drawn in 3-D here."""

    def pauseRender(self) -> None:
        """Views are drawn when looked at."""

    resumeRender = pauseRender
