"""The worker process that this Slicer keeps: started with the first request, warm until it is given up."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import SlicerSynthReg.client
from SlicerSynthReg.client import WorkerClient


def python() -> str:
    """Slicer's own Python; any other application's is the one that runs."""
    return shutil.which("PythonSlicer") or sys.executable


def command() -> list[str]:
    return [python(), "-m", "SynthRegLib.scene_worker"]


def environment() -> dict[str, str]:
    """Both packages, wherever they are installed, before anything else."""
    own = [str(Path(file).resolve().parents[1]) for file in (__file__, SlicerSynthReg.client.__file__)]
    paths = [*dict.fromkeys(own), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


class WarmWorker:
    """Hands out one client until it is given up."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = command
        self._client: WorkerClient | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process; None when there is none."""
        return self._client.pid if self._client else None

    def client(self) -> WorkerClient:
        """No process is started yet: that is for the client's first run."""
        if self._client is None:
            self._client = WorkerClient(self._command or command(), environment())
        return self._client

    def give_up(self) -> threading.Thread:
        """End the process and all it started, in the thread that is returned: looking for its children takes tens of
        milliseconds. The next client starts another."""
        client, self._client = self._client, None
        ending = threading.Thread(target=client.kill if client else lambda: None)
        ending.start()
        return ending
