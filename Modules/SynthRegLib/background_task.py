"""One computation in a thread; its result is added in small steps on the GUI thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from typing import Any, Callable

import qt

_POLL_MS = 20


class Background:
    """Starts at once. compute uses neither MRML nor Qt; place runs on the GUI thread, one step per event, and its value
    is passed to done. failed: called with the message of an error in either."""

    def __init__(
        self,
        compute: Callable[[], Any],
        place: Callable[[Any], Generator[None, None, Any]],
        done: Callable[[Any], None],
        failed: Callable[[str], None],
    ) -> None:
        self._place = place
        self._done = done
        self._failed = failed
        self._computed: list[Any] = []
        self._error = ""
        self._steps: Generator[None, None, Any] | None = None
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._tick)
        threading.Thread(target=self._run, args=(compute,), daemon=True).start()
        self._timer.start(_POLL_MS)

    def abandon(self) -> None:
        """Stop; neither done nor failed is called."""
        self._release_timer()

    def _run(self, compute: Callable[[], Any]) -> None:
        try:
            self._computed.append(compute())
        except Exception as error:
            logging.exception("SynthReg")
            self._error = f"{type(error).__name__}: {error}"

    def _tick(self) -> None:
        if self._steps is None and self._computed:
            self._steps = self._place(self._computed.pop())
            self._timer.start(0)
        if self._steps is not None:
            try:
                next(self._steps)
            except StopIteration as end:
                self._release_timer()
                self._done(end.value)
            except Exception as error:
                logging.exception("SynthReg")
                self._error = f"{type(error).__name__}: {error}"
        if self._error:
            self._release_timer()
            self._failed(self._error)

    def _release_timer(self) -> None:
        """Let the event loop delete the timer: the last reference to this object may end in its thread, where Qt must
        not delete a timer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.deleteLater()
