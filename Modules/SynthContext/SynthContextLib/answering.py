"""Several works one after another, which the panel runs as it runs a single job: the examples, then each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

from SynthRegLib.job import Job, Listener, Work
from SynthRegLib.warm import WarmWorker

from SlicerSynthReg.request import Figured, RequestError, figures_of


@dataclass(frozen=True)
class Stage:
    """make: called when its turn comes, with the values of the stages before it; None where there is nothing to do.
    share: of the whole bar. name: said before each word of progress. done: called with its value as soon as it is
    there, which stays although a later stage fails."""

    make: Callable[[list[Any]], Work | None]
    share: float
    name: str = ""
    done: Callable[[Any], None] = lambda value: None


class Stages:
    """As a Job: it is started, cancelled, abandoned. Its value is the list of the stages' values."""

    def __init__(self, stages: Sequence[Stage], worker: WarmWorker, listener: Listener) -> None:
        self._stages = list(stages)
        self._worker = worker
        self._listener = listener
        self._values: list[Any] = []
        self._job: Job | None = None

    def start(self) -> None:
        """Raises RequestError when the first stage cannot begin."""
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
                told = Listener(self._progress, self._done, self._listener.failed, self._listener.cancelled)
                self._job = Job(work, self._worker, told)
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
        words = Figured(f"{name}: {text}", figures_of(text)) if name else text
        self._listener.progress((before + share * self._stages[now].share) / whole, words)
