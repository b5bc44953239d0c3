"""One run of the worker, seen from Slicer's event loop: prepared in small steps, computed elsewhere, placed in small
steps; cancelled by ending the worker's process tree.

A timer drives it. Threads wait for the worker and for the disk; they touch neither MRML nor Qt.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import qt
from slicer.i18n import tr as _

from SlicerSynthReg.client import WorkerClient
from SlicerSynthReg.request import Request, RequestError, Result
from SynthRegLib.warm import WarmWorker

STEP_S = 0.012
"""Longest the job holds the event loop, but for a single step that takes longer."""
_WAIT_MS = 20
PREPARING = 0.05
"""Share of the bar for reading the nodes."""


@dataclass(frozen=True)
class Work:
    """prepare: yields, returns the request. load: off the GUI thread. place: yields, returns the value of `done`.
    folder: all files of the run; removed when it fails or is cancelled."""

    prepare: Callable[[], Generator[None, None, Request]]
    load: Callable[[Result], Any]
    place: Callable[[Any], Generator[None, None, Any]]
    folder: Path


@dataclass(frozen=True)
class Listener:
    """Called on the GUI thread. Exactly one of done, failed and cancelled ends a job."""

    progress: Callable[[float, str], None]
    done: Callable[[Any], None]
    failed: Callable[[str], None]
    cancelled: Callable[[], None]


class Job:
    """Starts with start(); see Listener for how it ends."""

    def __init__(self, work: Work, worker: WarmWorker, listener: Listener) -> None:
        self._work = work
        self._worker = worker
        self._listener = listener
        self._steps: Generator[None, None, Any] | None = None
        self._after: Callable[[Any], None] = self._compute
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._unwanted = threading.Event()
        self._client: WorkerClient | None = None
        self._running = False
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._tick)

    def start(self) -> None:
        self._running = True
        self._listener.progress(0.0, _("reading the images"))
        self._walk(self._work.prepare(), self._compute)
        self._timer.start(0)

    @property
    def running(self) -> bool:
        return self._running

    def cancel(self) -> None:
        """Returns at once; `cancelled` follows when the worker is gone and the files are removed."""
        if not self.running or self._unwanted.is_set():
            return
        self._unwanted.set()
        self._stop_steps()
        self._end_worker()

    def abandon(self) -> None:
        """Stop without another word to the listener, as the panel or the application is going away."""
        self._unwanted.set()
        self._let_timer_go()
        self._stop_steps()
        self._end_worker()
        self._running = False

    def _tick(self) -> None:
        if self._unwanted.is_set():
            if self._thread is None or not self._thread.is_alive():
                self._end(self._listener.cancelled)
            return
        try:
            if self._steps is not None:
                self._advance(time.perf_counter() + STEP_S)
            else:
                self._hear()
        except RequestError as error:
            self._fail(str(error))
        except Exception as error:
            logging.exception("SynthReg")
            self._fail(_("{error} Nothing was placed in the scene.").format(error=error))

    def _walk(self, steps: Generator[None, None, Any], after: Callable[[Any], None]) -> None:
        self._steps, self._after = steps, after

    def _advance(self, until: float) -> None:
        while self._steps is not None and time.perf_counter() < until:
            try:
                next(self._steps)
            except StopIteration as end:
                self._steps = None
                self._after(end.value)

    def _compute(self, request: Request) -> None:
        self._listener.progress(PREPARING, _("starting the worker"))
        self._client = self._worker.client()
        self._thread = threading.Thread(target=self._wait_for_worker, args=(self._client, request), daemon=True)
        self._thread.start()
        self._timer.start(_WAIT_MS)

    def _wait_for_worker(self, client: WorkerClient, request: Request) -> None:
        try:
            import psutil  # noqa: F401  the client kills with it, which must not wait for an import

            result = client.run(request, lambda share, text: self._events.put(("progress", (share, text))))
            if not self._unwanted.is_set():
                self._events.put(("loaded", self._work.load(result)))
        except RequestError as error:
            self._events.put(("failed", str(error)))
        except Exception as error:  # shown in the panel: a thread's traceback would reach nobody
            logging.exception("SynthReg")
            self._events.put(("failed", f"{type(error).__name__}: {error}"))

    def _hear(self) -> None:
        while not self._events.empty():
            event, value = self._events.get()
            if event == "progress":
                share, text = value
                self._listener.progress(PREPARING + (1 - PREPARING) * share, text)
            elif event == "failed":
                self._fail(value)
                return
            else:
                self._listener.progress(1.0, _("placing the results"))
                self._walk(self._work.place(value), self._finish)
                self._timer.start(0)
                return

    def _finish(self, value: Any) -> None:
        self._end(lambda: self._listener.done(value))

    def _fail(self, message: str) -> None:
        self._stop_steps()
        self._end_worker()
        self._end(lambda: self._listener.failed(message))

    def _end(self, tell: Callable[[], None]) -> None:
        self._let_timer_go()
        self._running = False
        tell()

    def _let_timer_go(self) -> None:
        """Deleted by the event loop: the last reference to this job may end in one of its threads, where Qt must not
        lose a timer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.deleteLater()

    def _stop_steps(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _end_worker(self) -> None:
        """Kill the worker if it works for this job, and remove the files, in a thread of its own."""
        computing, client = self._thread, self._client
        busy = computing is not None and computing.is_alive() and client is not None
        if busy:
            self._worker.give_up()

        def end() -> None:
            while busy and computing.is_alive():
                client.kill()
                computing.join(0.05)
            shutil.rmtree(self._work.folder, ignore_errors=True)

        self._thread = threading.Thread(target=end)
        self._thread.start()
