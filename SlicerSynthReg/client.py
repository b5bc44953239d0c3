"""The other end of worker.py: start it, give it requests, hear of its progress, kill it with all it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from SlicerSynthReg.request import Cancelled, Figured, Progress, Request, RequestError, Result, Suggestion, silent

WORKER = (sys.executable, "-m", "SlicerSynthReg.worker")


class WorkerEnded(RequestError):
    """The worker process ended before it answered."""


class WorkerClient:
    """One worker process, started with the first request and again after it has ended.

    command: what starts it. environment: added to this process's own. One request at a time; finish() and kill() may
    come from another thread.
    """

    def __init__(self, command: Sequence[str] = WORKER, environment: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._number = 0

    @property
    def pid(self) -> int | None:
        """Of the running worker; None when there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def run(self, request: Request, progress: Progress = silent) -> Result:
        """As SlicerSynthReg.run.run, in the worker; also raises WorkerEnded when it is killed or dies.

        Whatever `progress` raises kills the worker, as it may be deep in a long step, and is raised again.
        """
        process = self._started()
        self._number += 1
        own = str(self._number)
        try:
            self._send(process, {"id": own, "command": "run", "request": request.to_json()})
            for line in process.stdout or ():
                event = json.loads(line)
                if event["id"] != own:
                    continue
                if event["event"] == "progress":
                    self._tell(progress, event)
                elif event["event"] == "result":
                    return Result(event["outputs"], event["report"], event["warnings"])
                elif event["event"] == "error":
                    raise Cancelled if event["kind"] == "cancelled" else _refusal(event)
        except KeyboardInterrupt:
            self.kill()
            raise
        except (OSError, ValueError):  # the pipe broke, or ended within a line
            self.kill()
        raise WorkerEnded(_how(process.wait()))

    def _tell(self, progress: Progress, event: dict[str, Any]) -> None:
        try:
            progress(event["fraction"], Figured(event["text"], event["figures"]))
        except BaseException:
            self.kill()
            raise

    def finish(self) -> None:
        """Ask the run under way to end early with what it has; only tasks that can (TaskSpec.finishes) listen."""
        if self._process is not None and self._process.poll() is None:
            with suppress(OSError, ValueError):
                self._send(self._process, {"id": str(self._number), "command": "finish"})

    def kill(self) -> None:
        """End the worker and all processes it started, at once."""
        import psutil

        if self._process is None:
            return
        family: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self._process.wait()

    def close(self) -> None:
        """Let the worker end by itself, or kill it."""
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


def _refusal(event: dict[str, Any]) -> RequestError:
    suggestion = Suggestion(**event["suggestion"]) if event["suggestion"] else None
    return RequestError(event["message"], event["log"], suggestion)


def _how(code: int) -> str:
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    remedy = "Out of memory is the usual cause: run fewer workers at once, choose preset fast, or crop the images."
    return f"Found that the worker process {ended}, expected a result; nothing was written. {remedy}"
