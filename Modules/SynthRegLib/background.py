"""One computation in a thread, its result back on the GUI thread."""

from __future__ import annotations

import logging
import threading
from typing import Any, Callable

import qt

_POLL_MS = 20


class Background:
    """Starts at once. compute touches neither MRML nor Qt; done and failed are called on the GUI thread."""

    def __init__(self, compute: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        self._compute = compute
        self._done = done
        self._failed = failed
        self._outcome: tuple[Callable[[Any], None], Any] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._look)
        self._thread.start()
        self._timer.start(_POLL_MS)

    def abandon(self) -> None:
        """Neither done nor failed will be called."""
        self._timer.stop()

    def _run(self) -> None:
        try:
            self._outcome = self._done, self._compute()
        except Exception as error:
            logging.exception("SynthReg")
            self._outcome = self._failed, f"{type(error).__name__}: {error}"

    def _look(self) -> None:
        if self._outcome is not None:
            self._timer.stop()
            tell, value = self._outcome
            tell(value)
