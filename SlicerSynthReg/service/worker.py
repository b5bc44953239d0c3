"""`python -m SlicerSynthReg.service.worker`: run requests one after another and keep models loaded.

One JSON object a line on stdin:  {"id": "7", "command": "run", "request": {...}}, {"command": "cancel", "id": "7"},
{"command": "finish", "id": "7"} (end early with the present state; only for tasks that support it),
{"command": "ping"}, {"command": "shutdown"}.
One JSON object a line on stdout: {"id": "7", "event": ...} with event ready, progress (fraction, text, values: name ->
number), log (text), result (outputs, report, warnings), error (code, message, log, suggestion: null, or parameter,
value and effect; the code of a cancelled run is "cancelled") or pong. All other output, also of libraries, goes to
stderr. Runs keep their order; ping, cancel and finish are handled at once. The process ends with its stdin or its
parent, whichever ends first: the current run is cancelled, and its workspace removed.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from SlicerSynthReg.errors import Cancelled, FinishNow, RequestError
from SlicerSynthReg.progress import message_values
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.tasks.registry import TASKS, TaskSpec

_GRACE_S = 1.5
_WATCH_S = 0.5


class Worker:
    """Serve requests from `requests` and write events to `events`, both line by line."""

    def __init__(self, requests: IO[str], events: IO[str], tasks: Mapping[str, TaskSpec] = TASKS) -> None:
        self._requests = requests
        self._events = events
        self._tasks = tasks
        self._writing = threading.Lock()
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[Any] = set()
        self._to_finish: set[Any] = set()
        self._shutting_down = threading.Event()

    def serve(self) -> None:
        """Serve until a shutdown command or the end of `requests`."""
        threading.Thread(target=self._read, daemon=True).start()
        self._send(None, "ready", pid=os.getpid())
        while True:
            message = self._queue.get()
            if message is None or self._shutting_down.is_set():
                return
            self._run(message)

    def shutdown(self) -> None:
        """Cancel the current run and end; the process is killed if that takes longer than the grace period."""
        self._shutting_down.set()
        self._queue.put(None)
        timer = threading.Timer(_GRACE_S, os._exit, [1])
        timer.daemon = True
        timer.start()

    def _read(self) -> None:
        for line in self._requests:
            if line.strip():
                self._handle(line)
        self.shutdown()

    def _handle(self, line: str) -> None:
        try:
            message = json.loads(line)
            command = message["command"]
        except (ValueError, KeyError, TypeError):
            text = 'Found a line that is no JSON object with a "command", expected one object a line.'
            self._send_error(None, RequestError(text, code="protocol"))
            return
        if command == "run":
            self._queue.put(message)
        elif command == "cancel":
            self._cancelled.add(message.get("id"))
        elif command == "finish":
            self._to_finish.add(message.get("id"))
        elif command == "ping":
            self._send(message.get("id"), "pong")
        elif command == "shutdown":
            self._queue.put(None)
        else:
            text = f"Found {command!r}, expected run, cancel, finish, ping or shutdown."
            self._send_error(message.get("id"), RequestError(text, code="protocol"))

    def _run(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        finishes = False

        def progress(fraction: float, text: str) -> None:
            if number in self._cancelled or self._shutting_down.is_set():
                raise Cancelled
            self._send(number, "progress", fraction=float(fraction), text=text, values=message_values(text))
            if number in self._to_finish and finishes:
                raise FinishNow

        logs = _LogEvents(lambda text: self._send(number, "log", text=text))
        logging.getLogger("SlicerSynthReg").addHandler(logs)
        try:
            request = Request.from_json(message.get("request"))
            finishes = request.task in self._tasks and self._tasks[request.task].finishes
            result = run(request, progress, self._tasks)
            self._send(number, "result", **result.to_json())
        except Cancelled:
            self._send_error(number, RequestError("Cancelled; nothing was written.", code="cancelled"))
        except RequestError as error:
            self._send_error(number, error)
        finally:
            logging.getLogger("SlicerSynthReg").removeHandler(logs)
            self._cancelled.discard(number)
            self._to_finish.discard(number)

    def _send_error(self, number: Any, error: RequestError) -> None:
        suggestion = asdict(error.suggestion) if error.suggestion else None
        self._send(number, "error", code=error.code, message=error.text, log=error.log, suggestion=suggestion)

    def _send(self, number: Any, event: str, **more: Any) -> None:
        line = json.dumps({"id": number, "event": event, **more}, default=str)
        try:
            with self._writing:
                self._events.write(line + "\n")
                self._events.flush()
        except OSError:  # the client has gone
            self._shutting_down.set()


class _LogEvents(logging.Handler):
    def __init__(self, send: Any) -> None:
        super().__init__(logging.INFO)
        self.send = send

    def emit(self, record: logging.LogRecord) -> None:
        self.send(record.getMessage())


def main(tasks: Mapping[str, TaskSpec] = TASKS) -> None:
    """Serve stdin and stdout of this process."""
    parent = os.getppid()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    worker = Worker(requests, events, tasks)
    threading.Thread(target=_watch_parent, args=(worker, parent), daemon=True).start()
    code = 1
    with suppress(SystemExit):
        worker.serve()
        code = 0
    sys.stderr.flush()
    os._exit(code)  # a regular exit would wait for the thread that reads stdin


def _watch_parent(worker: Worker, parent: int) -> None:
    """Shut down when the parent has ended, even if another process still holds the pipe."""
    import psutil

    while os.getppid() == parent and (parent == 0 or psutil.pid_exists(parent)):
        time.sleep(_WATCH_S)
    worker.shutdown()


if __name__ == "__main__":
    main()
