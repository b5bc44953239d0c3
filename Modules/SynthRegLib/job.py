"""One request to the worker, driven by a timer of Slicer's event loop: prepare in steps, compute in the worker, add
nodes in steps.

Threads wait for the worker and for the disk; they use neither MRML nor Qt. Cancelling ends the worker's process tree.
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

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.service.client import WorkerClient
from SynthRegLib.worker_process import WorkerProcess

STEP_S = 0.012
"""Longest the job holds the event loop, but for a single step that takes longer."""
_WAIT_MS = 20
PREPARING = 0.05
"""Share of the bar for reading the nodes."""


@dataclass(frozen=True)
class JobSteps:
    """prepare: generator that returns the request. load: reads the result off the GUI thread. place: generator that
    adds the nodes and returns the value of `done`. folder: files of the run, removed on failure and cancellation."""

    prepare: Callable[[], Generator[None, None, Request]]
    load: Callable[[Result], Any]
    place: Callable[[Any], Generator[None, None, Any]]
    folder: Path


@dataclass(frozen=True)
class Listener:
    """Callbacks on the GUI thread. Exactly one of done, failed and cancelled ends a job."""

    progress: Callable[[float, str], None]
    done: Callable[[Any], None]
    failed: Callable[[str], None]
    cancelled: Callable[[], None]


class Job:
    """A running request; starts with start()."""

    def __init__(self, work: JobSteps, worker: WorkerProcess, listener: Listener) -> None:
        self._work = work
        self._worker = worker
        self._listener = listener
        self._steps: Generator[None, None, Any] | None = None
        self._after: Callable[[Any], None] = self._compute
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._client: WorkerClient | None = None
        self._running = False
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._tick)

    def start(self) -> None:
        self._running = True
        self._listener.progress(0.0, _("reading the images"))
        self._run_steps(self._work.prepare(), self._compute)
        self._timer.start(0)

    @property
    def running(self) -> bool:
        return self._running

    def cancel(self) -> None:
        """Return at once; `cancelled` is called when the worker has ended and the files are removed."""
        if not self.running or self._cancelled.is_set():
            return
        self._cancelled.set()
        self._stop_steps()
        self._end_worker()

    def abandon(self) -> None:
        """Stop without calling the listener, as the panel or the application is closed."""
        self._cancelled.set()
        self._release_timer()
        self._stop_steps()
        self._end_worker()
        self._running = False

    def _tick(self) -> None:
        if self._cancelled.is_set():
            if self._thread is None or not self._thread.is_alive():
                self._end(self._listener.cancelled)
            return
        try:
            if self._steps is not None:
                self._advance(time.perf_counter() + STEP_S)
            else:
                self._receive_events()
        except RequestError as error:
            self._fail(str(error))
        except Exception as error:
            logging.exception("SynthReg")
            self._fail(_("{error} Nothing was added to the scene.").format(error=error))

    def _run_steps(self, steps: Generator[None, None, Any], after: Callable[[Any], None]) -> None:
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
            if not self._cancelled.is_set():
                self._events.put(("loaded", self._work.load(result)))
        except RequestError as error:
            self._events.put(("failed", str(error)))
        except Exception as error:  # shown in the panel: a thread's traceback would reach nobody
            logging.exception("SynthReg")
            self._events.put(("failed", f"{type(error).__name__}: {error}"))

    def _receive_events(self) -> None:
        while not self._events.empty():
            event, value = self._events.get()
            if event == "progress":
                share, text = value
                self._listener.progress(PREPARING + (1 - PREPARING) * share, text)
            elif event == "failed":
                self._fail(value)
                return
            else:
                self._listener.progress(1.0, _("adding the results"))
                self._run_steps(self._work.place(value), self._finish)
                self._timer.start(0)
                return

    def _finish(self, value: Any) -> None:
        self._end(lambda: self._listener.done(value))

    def _fail(self, message: str) -> None:
        self._stop_steps()
        self._end_worker()
        self._end(lambda: self._listener.failed(message))

    def _end(self, notify: Callable[[], None]) -> None:
        self._release_timer()
        self._running = False
        notify()

    def _release_timer(self) -> None:
        """Let the event loop delete the timer: the last reference to this job may end in one of its threads, where Qt
        must not delete a timer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.deleteLater()

    def _stop_steps(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _end_worker(self) -> None:
        """End the worker if it works for this job, and remove the files, in a thread."""
        computing, client = self._thread, self._client
        busy = computing is not None and computing.is_alive() and client is not None
        if busy:
            self._worker.shutdown()

        def end() -> None:
            while busy and computing.is_alive():
                client.kill()
                computing.join(0.05)
            shutil.rmtree(self._work.folder, ignore_errors=True)

        self._thread = threading.Thread(target=end)
        self._thread.start()
