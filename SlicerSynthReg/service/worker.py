"""`python -m SlicerSynthReg.service.worker`: run requests one after another and keep models loaded.

One JSON object a line on stdin:  {"id": "7", "command": "run", "request": {...}}, {"command": "cancel", "id": "7"},
{"command": "finish", "id": "7"} (end early with the present state; only for tasks that support it),
{"command": "ping"}, {"command": "shutdown"}.
One JSON object a line on stdout: {"id": "7", "event": ...} with event ready, progress (fraction, text, values: name ->
number), heartbeat (during a run, every HEARTBEAT_S, by a thread of its own), log (text), result
(outputs, report, warnings), error (code, message, log, suggestion: null, or parameter,
value and effect; the code of a cancelled run is "cancelled") or pong. All other output, also of libraries, goes to
stderr. Runs keep their order; ping, cancel and finish are handled at once. The process ends with its stdin or its
parent, whichever ends first: the current run is cancelled, and its workspace removed. A line that is no valid command
(also of other bytes than UTF-8, nested too deeply, or above MAX_LINE_BYTES) is answered by an
error with code "protocol".
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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from SlicerSynthReg.errors import Cancelled, FinishNow, RequestError
from SlicerSynthReg.progress import message_values
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.tasks.registry import TASKS, TaskSpec

HEARTBEAT_S = 2.0
MAX_LINE_BYTES = 1 << 24
_GRACE_S = 1.5
_WATCH_S = 0.5


class Worker:
    """Serve requests from `requests` (UTF-8) and write events to `events`, both line by line."""

    def __init__(self, requests: IO[bytes], events: IO[str], tasks: Mapping[str, TaskSpec] = TASKS) -> None:
        self._requests = requests
        self._events = events
        self._tasks = tasks
        self._writing = threading.Lock()
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._known: set[Any] = set()
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
        try:
            for line in _lines(self._requests):
                if line is None or line.strip():
                    self._handle(line)
        finally:
            self.shutdown()

    def _handle(self, line: bytes | None) -> None:
        """Carry out one command; no content of the line ends the thread that reads."""
        number = None
        try:
            message = _message(line)
            number = message.get("id")
            self._carry_out(message["command"], number, message)
        except RequestError as error:
            self._send_error(number, error)
        except Exception as error:
            text = f"Found a command that fails ({type(error).__name__}), expected one of the protocol. Correct it."
            self._send_error(number, RequestError(text, code="protocol"))

    def _carry_out(self, command: str, number: str | int | None, message: dict[str, Any]) -> None:
        if command == "run":
            self._known.add(number)
            self._queue.put(message)
        elif command in ("cancel", "finish"):
            if number in self._known:
                (self._cancelled if command == "cancel" else self._to_finish).add(number)
        elif command == "ping":
            self._send(number, "pong")
        elif command == "shutdown":
            self._queue.put(None)
        else:
            text = f"Found {command[:80]!r}, expected run, cancel, finish, ping or shutdown. Correct the command."
            raise RequestError(text, code="protocol")

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
        ended = threading.Event()
        threading.Thread(target=self._beat, args=(ended,), daemon=True).start()
        try:
            request = Request.from_json(message.get("request"))
            finishes = request.task in self._tasks and self._tasks[request.task].finishes
            result = run(request, progress, self._tasks)
            self._send(number, "result", **result.to_json())
        except Cancelled:
            self._send_error(number, RequestError("Cancelled; nothing was written.", code="cancelled"))
        except RequestError as error:
            self._send_error(number, error)
        except Exception as error:
            text = f"Found an unexpected {type(error).__name__}, expected a result; nothing was written. Report it."
            self._send_error(number, RequestError(text, code="internal"))
        finally:
            ended.set()
            logging.getLogger("SlicerSynthReg").removeHandler(logs)
            self._known.discard(number)
            self._cancelled.discard(number)
            self._to_finish.discard(number)

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_S):
            self._send(None, "heartbeat")

    def _send_error(self, number: Any, error: RequestError) -> None:
        suggestion = asdict(error.suggestion) if error.suggestion else None
        self._send(number, "error", code=error.code, message=error.text, log=error.log, suggestion=suggestion)

    def _send(self, number: Any, event: str, **more: Any) -> None:
        line = json.dumps({"id": number, "event": event, **more}, default=str)
        try:
            with self._writing:
                self._events.write(line + "\n")
                self._events.flush()
        except (OSError, ValueError):  # the client has gone
            self._shutting_down.set()


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Yield the lines of a stream; None for one above MAX_LINE_BYTES, which is skipped without being held."""
    while line := stream.readline(MAX_LINE_BYTES):
        if line.endswith(b"\n") or len(line) < MAX_LINE_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)
        yield None


def _message(line: bytes | None) -> dict[str, Any]:
    """Return the command of a line. Raises RequestError (protocol)."""
    if line is None:
        text = f"Found a line above {MAX_LINE_BYTES >> 20} MB, expected a command. Give data by path."
        raise RequestError(text, code="protocol")
    try:
        message = json.loads(line.decode("utf-8"))
        valid = isinstance(message["command"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        text = 'Found a line that is no JSON object with a "command", expected one object a line. Correct it.'
        raise RequestError(text, code="protocol")
    if not isinstance(message.get("id"), (str, int, type(None))):
        text = f"Found an id of type {type(message['id']).__name__}, expected text or a whole number. Correct it."
        raise RequestError(text, code="protocol")
    return dict(message)


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
    requests = os.fdopen(os.dup(0), "rb")
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
