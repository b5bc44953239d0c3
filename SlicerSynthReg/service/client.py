"""Client of worker.py: start the process, send requests, receive progress, kill it with its children."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from SlicerSynthReg.errors import Cancelled, RequestError, Suggestion, WorkerEnded
from SlicerSynthReg.progress import Progress, ProgressMessage, no_progress
from SlicerSynthReg.request import Request, Result

WORKER = (sys.executable, "-m", "SlicerSynthReg.service.worker")


class WorkerClient:
    """One worker process, started with the first request and restarted after it has ended.

    command: starts the process. environment: added to that of this process. One request at a time; finish() and kill()
    may be called from another thread.
    """

    def __init__(self, command: Sequence[str] = WORKER, environment: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._number = 0

    @property
    def pid(self) -> int | None:
        """Process ID of the running worker; None if there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def run(self, request: Request, progress: Progress = no_progress) -> Result:
        """Run a request in the worker, as service.run.run; also raises WorkerEnded if the process ends before.

        An exception of `progress` kills the worker, which may be in a long step, and is raised again.
        """
        process = self._started()
        self._number += 1
        number = str(self._number)
        try:
            self._send(process, {"id": number, "command": "run", "request": request.to_json()})
            for line in process.stdout or ():
                event = json.loads(line)
                if event["id"] != number:
                    continue
                if event["event"] == "progress":
                    self._report(progress, event)
                elif event["event"] == "result":
                    return Result(event["outputs"], event["report"], event["warnings"])
                elif event["event"] == "error":
                    raise Cancelled if event["code"] == "cancelled" else _request_error(event)
        except KeyboardInterrupt:
            self.kill()
            raise
        except (OSError, ValueError):  # the pipe broke, or ended within a line
            self.kill()
        raise WorkerEnded(_exit_text(process.wait()))

    def _report(self, progress: Progress, event: dict[str, Any]) -> None:
        try:
            progress(event["fraction"], ProgressMessage(event["text"], event["values"]))
        except BaseException:
            self.kill()
            raise

    def finish(self) -> None:
        """Request the current run to end early with its present state; ignored by tasks without TaskSpec.finishes."""
        if self._process is not None and self._process.poll() is None:
            with suppress(OSError, ValueError):
                self._send(self._process, {"id": str(self._number), "command": "finish"})

    def kill(self) -> None:
        """Kill the worker and all processes that it started."""
        import psutil

        if self._process is None:
            return
        processes: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            processes = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def close(self) -> None:
        """Shut the worker down, and kill it if it does not end."""
        if self._process is None:
            return
        with suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.stdout:
            self._process.stdout.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            root = str(Path(__file__).resolve().parents[1])
            paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **self._environment},
            )
        return self._process

    @staticmethod
    def _send(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
        if process.stdin:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()


def _request_error(event: dict[str, Any]) -> RequestError:
    suggestion = Suggestion(**event["suggestion"]) if event["suggestion"] else None
    return RequestError(event["message"], suggestion, code=event["code"], log=event["log"])


def _exit_text(code: int) -> str:
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    remedy = "Out of memory is the usual cause: run fewer workers at once, choose preset fast, or crop the images."
    return f"Found that the worker process {ended}, expected a result; nothing was written. {remedy}"
