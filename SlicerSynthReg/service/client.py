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
from SlicerSynthReg.service.worker_events import EventReader, Watch, end_of_worker, memory_kills

WORKER = (sys.executable, "-m", "SlicerSynthReg.service.worker")
STALL_LIMIT_S = 300.0
_POLL_S = 0.5


class WorkerClient:
    """One worker process, started with the first request and restarted after it has ended.

    command: starts the process. environment: added to that of this process. stall_limit_s: a worker that sends nothing,
    not even a heartbeat, and uses no processor for so long is killed. One request at a time; finish() and kill() may be
    called from another thread.
    """

    def __init__(
        self,
        command: Sequence[str] = WORKER,
        environment: Mapping[str, str] | None = None,
        stall_limit_s: float = STALL_LIMIT_S,
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment or {})
        self._stall_limit_s = stall_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._events = EventReader()
        self._number = 0

    @property
    def pid(self) -> int | None:
        """Process ID of the running worker; None if there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def run(self, request: Request, progress: Progress = no_progress, time_limit_s: float | None = None) -> Result:
        """Run a request in the worker, as service.run.run.

        time_limit_s: after so many seconds the worker is killed. An exception of `progress` kills the worker, which may
        be in a long step, and is raised again. Also raises WorkerEnded: worker-ended if the process ends before,
        worker-crashed if a library crashed it, memory if the system ended it for lack of memory, worker-stalled,
        time-limit.
        """
        process = self._started()
        self._number += 1
        number = str(self._number)
        kills = memory_kills()
        watch = Watch(process.pid, self._stall_limit_s, time_limit_s)
        try:
            self._send(process, {"id": number, "command": "run", "request": request.to_json()})
            for event in self._events.until_end(process, _POLL_S):
                if event is None:
                    watch.check(self._events.heard)
                elif event.get("id") == number and (result := self._result(event, progress)):
                    return result
        except (KeyboardInterrupt, WorkerEnded):
            self.kill()
            raise
        except (OSError, ValueError, KeyError, TypeError):  # the pipe broke, or an event is malformed
            self.kill()
        raise end_of_worker(process.wait(), memory_kills() > kills)

    def _result(self, event: dict[str, Any], progress: Progress) -> Result | None:
        if event["event"] == "progress":
            message = ProgressMessage(event["text"], event["values"])
            try:
                progress(event["fraction"], message)
            except BaseException:
                self.kill()
                raise
        elif event["event"] == "result":
            return Result(event["outputs"], event["report"], event["warnings"])
        elif event["event"] == "error":
            raise Cancelled if event["code"] == "cancelled" else _request_error(event)
        return None

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

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            root = str(Path(__file__).resolve().parents[1])
            paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **self._environment},
            )
            self._events = EventReader(self._process.stdout)
        return self._process

    @staticmethod
    def _send(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
        if process.stdin:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()


def _request_error(event: dict[str, Any]) -> RequestError:
    suggestion = Suggestion(**event["suggestion"]) if event["suggestion"] else None
    return RequestError(event["message"], suggestion, code=event["code"], log=event["log"])
