"""`python -m SlicerSynthReg.worker`: a process that runs requests one after another and keeps models warm in between.

One JSON object a line on stdin:  {"id": "7", "command": "run", "request": {...}}, {"command": "cancel", "id": "7"},
{"command": "finish", "id": "7"} (end early with what there is: for tasks that can, others go on), {"command": "ping"},
{"command": "shutdown"}.
One JSON object a line on stdout: {"id": "7", "event": ...} with event ready, progress (fraction, text, figures: name ->
number), log (text), result (outputs, report, warnings), error (kind "refused" or "cancelled", message, log, suggestion:
null, or the parameter, value and effect that would help) or pong. Whatever else is printed, by libraries too, goes to
stderr. Runs keep their order; ping, cancel and finish are heard at once. The process ends with its stdin or its parent,
whichever goes first: the run under way is cancelled, and its workspace removed.
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

from SlicerSynthReg.request import Cancelled, FinishNow, Request, RequestError, figures_of
from SlicerSynthReg.run import run
from SlicerSynthReg.tasks.table import TASKS, TaskSpec

_GRACE_S = 1.5
_WATCH_S = 0.5


class Worker:
    """Serves requests from `requests` and writes events to `events`, both line by line."""

    def __init__(self, requests: IO[str], events: IO[str], tasks: Mapping[str, TaskSpec] = TASKS) -> None:
        self._requests = requests
        self._events = events
        self._tasks = tasks
        self._writing = threading.Lock()
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._unwanted: set[Any] = set()
        self._to_finish: set[Any] = set()
        self._leaving = threading.Event()

    def serve(self) -> None:
        """Returns after `shutdown` or the end of `requests`."""
        threading.Thread(target=self._read, daemon=True).start()
        self._say(None, "ready", pid=os.getpid())
        while True:
            message = self._queue.get()
            if message is None or self._leaving.is_set():
                return
            self._run(message)

    def leave(self) -> None:
        """Cancel what runs and end; the process is ended hard when that takes longer than the grace."""
        self._leaving.set()
        self._queue.put(None)
        timer = threading.Timer(_GRACE_S, os._exit, [1])
        timer.daemon = True
        timer.start()

    def _read(self) -> None:
        for line in self._requests:
            if line.strip():
                self._take(line)
        self.leave()

    def _take(self, line: str) -> None:
        try:
            message = json.loads(line)
            command = message["command"]
        except (ValueError, KeyError, TypeError):
            told = 'Found a line that is no JSON object with a "command", expected one object a line.'
            self._refuse(None, RequestError(told))
            return
        if command == "run":
            self._queue.put(message)
        elif command == "cancel":
            self._unwanted.add(message.get("id"))
        elif command == "finish":
            self._to_finish.add(message.get("id"))
        elif command == "ping":
            self._say(message.get("id"), "pong")
        elif command == "shutdown":
            self._queue.put(None)
        else:
            told = f"Found {command!r}, expected run, cancel, finish, ping or shutdown."
            self._refuse(message.get("id"), RequestError(told))

    def _run(self, message: dict[str, Any]) -> None:
        own = message.get("id")
        finishes = False

        def progress(fraction: float, text: str) -> None:
            if own in self._unwanted or self._leaving.is_set():
                raise Cancelled
            self._say(own, "progress", fraction=float(fraction), text=text, figures=figures_of(text))
            if own in self._to_finish and finishes:
                raise FinishNow

        logs = _LogEvents(lambda text: self._say(own, "log", text=text))
        logging.getLogger("SlicerSynthReg").addHandler(logs)
        try:
            request = Request.from_json(message.get("request"))
            finishes = request.task in self._tasks and self._tasks[request.task].finishes
            result = run(request, progress, self._tasks)
            self._say(own, "result", **result.to_json())
        except Cancelled:
            nothing = RequestError("Cancelled; nothing was written.")
            self._refuse(own, nothing, "cancelled")
        except RequestError as error:
            self._refuse(own, error)
        finally:
            logging.getLogger("SlicerSynthReg").removeHandler(logs)
            self._unwanted.discard(own)
            self._to_finish.discard(own)

    def _refuse(self, own: Any, error: RequestError, kind: str = "refused") -> None:
        suggestion = asdict(error.suggestion) if error.suggestion else None
        self._say(own, "error", kind=kind, message=error.text, log=error.log, suggestion=suggestion)

    def _say(self, own: Any, event: str, **more: Any) -> None:
        line = json.dumps({"id": own, "event": event, **more}, default=str)
        try:
            with self._writing:
                self._events.write(line + "\n")
                self._events.flush()
        except OSError:  # nobody listens any more
            self._leaving.set()


class _LogEvents(logging.Handler):
    def __init__(self, tell: Any) -> None:
        super().__init__(logging.INFO)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(record.getMessage())


def main(tasks: Mapping[str, TaskSpec] = TASKS) -> None:
    """Serve stdin and stdout of this process."""
    parent = os.getppid()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    worker = Worker(requests, events, tasks)
    threading.Thread(target=_watch, args=(worker, parent), daemon=True).start()
    code = 1
    with suppress(SystemExit):
        worker.serve()
        code = 0
    sys.stderr.flush()
    os._exit(code)  # an orderly end would wait for the thread that waits for stdin


def _watch(worker: Worker, parent: int) -> None:
    """Leave when the parent has gone, even where another process still holds the pipe."""
    import psutil

    while os.getppid() == parent and (parent == 0 or psutil.pid_exists(parent)):
        time.sleep(_WATCH_S)
    worker.leave()


if __name__ == "__main__":
    main()
