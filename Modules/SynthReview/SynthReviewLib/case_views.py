"""Display the images of a blinded case without names and file information.

The files are not read by Slicer's file manager, so that no path appears in the list of recent files or in a storage
node; of the header only the geometry is used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from SynthRegLib.display import remove_volume, set_window

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.ct_windows import DisplayWindow

_ONE, _TWO = 7301, 7302
_SAME_MM = 5.0
_COLOURS = {"Axial": "#F34A33", "Sagittal": "#EDD54C", "Coronal": "#6EB04B"}
_SIDES = (("Red", "Yellow", "Green"), ("RightRed", "RightYellow", "RightGreen"))


class CaseViews:
    """One image in three planes, or two side by side. `close` restores the layout."""

    def __init__(self) -> None:
        self._nodes: list[slicer.vtkMRMLScalarVolumeNode] = []
        self._before: int | None = None

    @property
    def is_loaded(self) -> bool:
        """Return False also if the images were removed from the scene."""
        return bool(self._nodes) and all(node.GetScene() is not None for node in self._nodes)

    def load(self, paths: list[Path], names: list[str], window: DisplayWindow | None) -> None:
        """Load one or two images, from left to right. Raises StudyError, without a file name."""
        self.remove()
        for path, name in zip(paths, names):
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
            self._nodes.append(node)
            node.SetSaveWithScene(False)
            node.CreateDefaultDisplayNodes()
            if not _read(path, node):
                self.remove()
                raise StudyError(
                    _("Found that {name} cannot be read, expected an image file. Copy the study folder again.").format(
                        name=name
                    )
                )
            if window is not None:
                set_window(node, window.width, window.level)

    def show(self) -> None:
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        if self._before is None:
            self._before = manager.layout
        manager.setLayout(_layout(manager, len(self._nodes), _lie_together(self._nodes)))
        for names, node in zip(_SIDES, self._nodes):
            for name in names:
                widget = manager.sliceWidget(name)
                _fill(widget.mrmlSliceCompositeNode(), node)
                widget.sliceLogic().FitSliceToBackground()

    def hide(self) -> None:
        """Blank the views; the images stay loaded."""
        manager = slicer.app.layoutManager()
        for name in manager.sliceViewNames() if manager is not None else ():
            _fill(manager.sliceWidget(name).mrmlSliceCompositeNode(), None)

    def remove(self) -> None:
        for node in self._nodes:
            if node.GetScene() is not None:
                remove_volume(node)
        self._nodes = []

    def close(self) -> None:
        self.hide()
        self.remove()
        if self._before is not None:
            slicer.app.layoutManager().setLayout(self._before)
            self._before = None


def _read(path: Path, node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Read voxels and geometry into `node`, nothing else."""
    read = slicer.vtkMRMLScalarVolumeNode()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(True)
    if not path.is_file() or not storage.ReadData(read) or read.GetImageData() is None:
        return False
    matrix = vtk.vtkMatrix4x4()
    read.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(read.GetImageData())
    return True


def _fill(composite: slicer.vtkMRMLSliceCompositeNode, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    composite.SetLinkedControl(True)
    composite.SetHotLinkedControl(True)
    composite.SetBackgroundVolumeID(node.GetID() if node is not None else None)
    composite.SetForegroundVolumeID(None)
    composite.SetLabelVolumeID(None)


def _lie_together(nodes: list[slicer.vtkMRMLScalarVolumeNode]) -> bool:
    """Return whether the images cover the same region, so that their views can be linked."""
    bounds = []
    for node in nodes:
        box = [0.0] * 6
        node.GetRASBounds(box)
        bounds.append(box)
    return bool(np.ptp(bounds, axis=0).max() < _SAME_MM)


def _layout(manager, count: int, linked: bool) -> int:
    """Return the number of a custom layout: for each image a large axial view over a sagittal and a coronal one."""
    columns = "".join(_column(names, 0 if linked else side) for side, names in enumerate(_SIDES[:count]))
    number = (_ONE if count == 1 else _TWO) + (0 if linked else 10)
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(number):
        node.AddLayoutDescription(number, f'<layout type="horizontal" split="true">{columns}</layout>')
    return number


def _column(names: tuple[str, ...], group: int) -> str:
    axial, sagittal, coronal = (_view(name, plane, group) for name, plane in zip(names, _COLOURS))
    below = f'<layout type="horizontal" split="true">{sagittal}{coronal}</layout>'
    return f'<item><layout type="vertical" split="true">{axial}<item>{below}</item></layout></item>'


def _view(name: str, plane: str, group: int) -> str:
    properties = {"orientation": plane, "viewlabel": plane[0], "viewcolor": _COLOURS[plane], "viewgroup": str(group)}
    lines = "".join(f'<property name="{key}" action="default">{value}</property>' for key, value in properties.items())
    return f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">{lines}</view></item>'
