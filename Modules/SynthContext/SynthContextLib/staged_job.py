"""Several jobs in sequence, run as a single job: the examples, then each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

from SynthRegLib.job import Job, JobSteps, Listener
from SynthRegLib.worker_process import WorkerProcess

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.progress import ProgressMessage, message_values


@dataclass(frozen=True)
class Stage:
    """make: called when it starts, with the values of earlier stages; returns None if there is nothing to do. share:
    weight in the progress bar. name: prefix of progress texts. done: called with the stage's value, which is kept if a
    later stage fails."""

    make: Callable[[list[Any]], JobSteps | None]
    share: float
    name: str = ""
    done: Callable[[Any], None] = lambda value: None


class Stages:
    """Started, cancelled and abandoned as a Job. Its value is the list of the stages' values."""

    def __init__(self, stages: Sequence[Stage], worker: WorkerProcess, listener: Listener) -> None:
        self._stages = list(stages)
        self._worker = worker
        self._listener = listener
        self._values: list[Any] = []
        self._job: Job | None = None

    def start(self) -> None:
        """Start the first stage. Raises RequestError if it cannot begin."""
        self._next()

    @property
    def running(self) -> bool:
        return self._job is not None and self._job.running

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def abandon(self) -> None:
        if self._job is not None:
            self._job.abandon()

    def _next(self) -> None:
        while len(self._values) < len(self._stages):
            stage = self._stages[len(self._values)]
            work = stage.make(self._values)
            if work is not None:
                listener = Listener(self._progress, self._done, self._listener.failed, self._listener.cancelled)
                self._job = Job(work, self._worker, listener)
                self._job.start()
                return
            self._values.append(None)
        self._listener.done(self._values)

    def _done(self, value: Any) -> None:
        self._stages[len(self._values)].done(value)
        self._values.append(value)
        try:
            self._next()
        except RequestError as error:
            self._listener.failed(str(error))

    def _progress(self, share: float, text: str) -> None:
        now = len(self._values)
        whole = sum(stage.share for stage in self._stages)
        before = sum(stage.share for stage in self._stages[:now])
        name = self._stages[now].name
        words = ProgressMessage(f"{name}: {text}", message_values(text)) if name else text
        self._listener.progress((before + share * self._stages[now].share) / whole, words)
