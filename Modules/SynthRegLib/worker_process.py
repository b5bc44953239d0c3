"""The worker process of this Slicer: started with the first request and kept until it is shut down."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import SlicerSynthReg.service.client
from SlicerSynthReg.service.client import WorkerClient


def python() -> str:
    """Return Slicer's Python, or the running interpreter of another application."""
    return shutil.which("PythonSlicer") or sys.executable


def command() -> list[str]:
    return [python(), "-m", "SynthRegLib.scene_worker"]


def environment() -> dict[str, str]:
    """Return PYTHONPATH with both packages first."""
    own = [str(Path(file).resolve().parents[1]) for file in (__file__, SlicerSynthReg.service.client.__file__)]
    paths = [*dict.fromkeys(own), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


class WorkerProcess:
    """Provides one client until shutdown."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = command
        self._client: WorkerClient | None = None

    @property
    def pid(self) -> int | None:
        """Process ID, None without a process."""
        return self._client.pid if self._client else None

    def client(self) -> WorkerClient:
        """Return the client; its first run starts the process."""
        if self._client is None:
            self._client = WorkerClient(self._command or command(), environment())
        return self._client

    def shutdown(self) -> threading.Thread:
        """End the process tree in a thread, which is returned (finding all children takes tens of milliseconds). The
        next client starts a new process."""
        client, self._client = self._client, None
        ending = threading.Thread(target=client.kill if client else lambda: None)
        ending.start()
        return ending
