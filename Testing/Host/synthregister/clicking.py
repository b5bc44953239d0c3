"""What the tests of SynthRegister's panel do and look for."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import slicer

WORKER = Path(__file__).with_name("answering_worker.py")
BLOCK_MS, OPEN_S, CANCEL_S, WARM_S = 150, 0.3, 2.0, 0.3
"""The window's promise is 50 ms, which Testing/Benchmarks/panel.py measures; on a busy machine a test can only tell
that nothing is done at once that takes longer, as reading or resampling one volume does."""
OURS = ("Volume", "Transform", "Segmentation", "Markups", "Display")


def give_worker(panel) -> None:
    from SynthRegLib.warm import WarmWorker

    panel.logic.worker = WarmWorker([sys.executable, str(WORKER)])


def node_ids() -> set[str]:
    return {node.GetID() for kind in OURS for node in slicer.util.getNodesByClass(f"vtkMRML{kind}Node")}


def folders() -> set[Path]:
    return set(Path(slicer.app.temporaryPath).glob("SynthReg-*"))


def is_idle(panel) -> bool:
    return panel.text("applyButton") == "Apply"


def apply(panel) -> None:
    panel.click("applyButton")
    assert panel.text("applyButton") == "Cancel"


def wait_for_children(panel) -> list[psutil.Process]:
    """The worker and what it started, once it has started a child."""
    panel.wait_until(lambda: "child" in panel.text("logText"), 60, "the worker's child")
    worker = psutil.Process(panel.logic.worker.pid)
    family = [worker, *worker.children(recursive=True)]
    assert len(family) >= 2
    return family


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
