"""What the tests of SynthContext's panel do and look for."""

from __future__ import annotations

import numpy as np
import qt
import slicer

SHAPE, SPACING = (30, 36, 28), 3.0
COLOURS = {"ball": (0.9, 0.2, 0.1), "rest": (0.2, 0.4, 0.9)}


def a_head(name: str, shift_mm: float = 0.0, seed: int = 0):
    """A scan of a bright ellipsoid with a brighter ball in it, 3 mm voxels; and the labels "ball" 2 and "rest" 1 of its
    voxels, (I, J, K). seed: of the noise and of the ball's size."""
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = -SPACING * (np.array(SHAPE) - 1) / 2 + [shift_mm, 0, 0]
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    points = index @ affine[:3, :3].T + affine[:3, 3] - [shift_mm, 0, 0]
    rest = np.linalg.norm(points / [36, 44, 34], axis=-1) < 1
    ball = np.linalg.norm(points - [-10, 8, 4], axis=-1) < 13 + seed % 3
    labels = np.where(ball, 2, np.where(rest, 1, 0)).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(0, 5, SHAPE)
    values = np.where(ball, 200, np.where(rest, 120 + 20 * np.sin(points[..., 1] / 8), 0)) + noise
    volume = slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T.astype(np.int16)), affine, name)
    volume.CreateDefaultDisplayNodes()
    return volume, labels


def a_segmentation(volume, labels, names=("rest", "ball")):
    """Of a_head's labels, drawn on `volume`; its segments are numbered otherwise than they are in another."""
    from SynthRegLib.node_geometry import ijk_to_ras  # on the path once a panel is open
    from SynthRegLib.results import NodePlacement, add_segmentation, new_segment

    affine = ijk_to_ras(volume)
    whole = slicer.util.addVolumeFromArray(np.ascontiguousarray(labels.T), affine)
    numbers = {"rest": 1, "ball": 2}
    segments = {f"s_{name}": (numbers[name], new_segment(name, COLOURS[name])) for name in names}
    place = NodePlacement(tuple(volume.GetImageData().GetDimensions()), affine, None)
    scalars = whole.GetImageData().GetPointData().GetScalars()
    node = add_segmentation(f"{volume.GetName()} drawn", scalars, place, [], segments, volume)
    slicer.mrmlScene.RemoveNode(whole)
    return node


def a_pair(name: str, shift_mm: float = 0.0, seed: int = 0, names=("rest", "ball")):
    volume, labels = a_head(name, shift_mm, seed)
    return volume, a_segmentation(volume, labels, names)


def drop(panel, table: str, nodes=(), paths=(), column: int = 0) -> bool:
    """Let go over a column of the table, as from the module Data or the file manager; whether it was taken."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = [f"mrml://scene/subjecthierarchy/item?id={hierarchy.GetItemByDataNode(node)}" for node in nodes]
    mime = qt.QMimeData()
    mime.setUrls([qt.QUrl(item) for item in items] + [qt.QUrl.fromLocalFile(str(path)) for path in paths])
    view = panel[table].viewport()
    place = qt.QPointF(panel[table].columnViewportPosition(column) + 5, 30)
    taken = []
    for kind in (qt.QDragEnterEvent, qt.QDropEvent):
        where = place.toPoint() if kind is qt.QDragEnterEvent else place
        event = kind(where, qt.Qt.CopyAction, mime, qt.Qt.LeftButton, qt.Qt.NoModifier)
        qt.QApplication.sendEvent(view, event)
        taken.append(event.isAccepted())
    panel.settle()
    return all(taken)


def texts(panel, table: str) -> list[tuple[str, str]]:
    """Image and answer of each row."""
    shown = panel[table]
    return [(shown.item(n, 0).text(), shown.item(n, 1).text()) for n in range(shown.rowCount)]


def check(panel, table: str, row: int, on: bool) -> None:
    panel[table].item(row, 0).setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)
    panel.settle()


def select_row(panel, table: str, row: int) -> None:
    panel[table].clearSelection()
    panel[table].selectRow(row)
    panel.settle()


def is_idle(panel) -> bool:
    return panel.text("applyButton") == "Apply"


def run(panel, button: str = "applyButton", seconds: float = 300) -> str:
    """Click, wait for the end; what the status line says."""
    panel.click(button)
    assert not is_idle(panel), panel.text("statusLabel")
    panel.wait_until(lambda: is_idle(panel), panel.text("statusLabel"))
    return panel.text("statusLabel")


def quick(panel) -> None:
    """Settings under which a run takes no registration and one question a slice."""
    panel.expand("settingsCollapsibleButton")
    panel.choose("alignmentWidget", "Centre to centre")
    panel.set_value("supportSlicesWidget", 0)
    panel.set_value("supportSizeWidget", 1)
