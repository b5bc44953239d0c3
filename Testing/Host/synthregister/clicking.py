"""What the tests of SynthRegister's panel do and look for."""

from __future__ import annotations

from pathlib import Path

import psutil
import qt
import slicer
from PySide6 import QtTest

WORKER = Path(__file__).with_name("known_worker.py")
TURNS = 10
"""Turns of the event loop that a run must leave at least; a run in one slot would leave none. How long the window is
blocked at most, in milliseconds, is measured by Testing/Benchmarks/panel.py."""
OURS = ("Volume", "Transform", "Segmentation", "Markups", "Display")


def node_ids() -> set[str]:
    return {node.GetID() for kind in OURS for node in slicer.util.getNodesByClass(f"vtkMRML{kind}Node")}


def folders() -> set[Path]:
    return set(Path(slicer.app.temporaryPath).glob("SynthReg-*"))


def is_idle(panel) -> bool:
    return panel.text("applyButton") == "Apply"


def apply(panel) -> None:
    panel.click("applyButton")
    assert panel.text("applyButton") == "Cancel"


def cells(panel) -> list[list[str]]:
    """The table of results, a list a row."""
    table = panel["resultsTable"]
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def click_row(panel, row: int, more: bool = False) -> None:
    """more: with Ctrl, beside the rows that are selected."""
    table = panel["resultsTable"]
    place = table.visualItemRect(table.item(row, 1)).center()
    keys = qt.Qt.ControlModifier if more else qt.Qt.NoModifier
    QtTest.QTest.mouseClick(table.viewport(), qt.Qt.LeftButton, keys, place)
    panel.settle()


def wait_for_children(panel) -> list[psutil.Process]:
    """The worker and what it started, once it has started a child."""
    panel.wait_until(lambda: "child" in panel.text("logText"), "the worker's child")
    worker = psutil.Process(panel.logic.worker.pid)
    family = [worker, *worker.children(recursive=True)]
    assert len(family) >= 2
    return family


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
