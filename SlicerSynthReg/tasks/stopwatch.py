"""Seconds by stage, and the word to the user at each start."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[float, str], None]


class Stopwatch:
    """progress(share of the whole, text) is called whenever a stage begins."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.seconds = progress, dict[str, float]()
        self._name, self._since = "", time.monotonic()

    def stage(self, name: str, share: float) -> None:
        """End the running stage and begin `name`, `share` of the whole being done."""
        self.end()
        self._name, self._since = name, time.monotonic()
        self.progress(share, name)

    def end(self) -> None:
        if self._name:
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + time.monotonic() - self._since
            self._name = ""
