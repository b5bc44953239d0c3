"""A worker process that several tests of a file use one after another: to import torch takes longer than most runs."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class WarmWorker:
    """Stand-in for SynthRegLib.worker_process.WorkerProcess that starts anew only if it must.

    script: run in place of the extension's own worker, if given. The process reads the variables SYNTHREG_* at its
    start: when they have changed, the next client starts another process.
    """

    def __init__(self, script: Path | None) -> None:
        from SynthRegLib.worker_process import WorkerProcess

        self._process = WorkerProcess([sys.executable, str(script)] if script else None)
        self._settings: dict[str, str] = {}

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def client(self) -> Any:
        settings = {name: value for name, value in os.environ.items() if name.startswith("SYNTHREG_")}
        if settings != self._settings:
            self._process.shutdown().join()
            self._settings = settings
        return self._process.client()

    def shutdown(self) -> threading.Thread:
        return self._process.shutdown()


_WORKERS: dict[Path | None, WarmWorker] = {}


def give_worker(panel: Any, script: Path | None = None) -> None:
    """Let the panel compute in the warm worker of `script`, or of the extension."""
    if script not in _WORKERS:
        worker = _WORKERS[script] = WarmWorker(script)
        atexit.register(lambda: worker.shutdown().join())
    panel.logic.worker = _WORKERS[script]


@contextmanager
def worker_given(panel: Any, script: Path | None = None) -> Iterator[None]:
    """As `give_worker`; afterwards an idle worker is kept from being shut down with the panel."""
    from SynthRegLib.worker_process import WorkerProcess

    give_worker(panel, script)
    yield
    if panel.text("applyButton") == "Apply":
        panel.logic.worker = WorkerProcess()
