"""Progress reports, and the seconds that each stage of a pipeline takes. Imports no torch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

Progress = Callable[[float, str], None]
"""Called with the fraction done (0 to 1) and the present stage. Raises errors.Cancelled when the run is cancelled, and
errors.FinishNow, to tasks that support it, when the run should end early. The text may be a ProgressMessage."""


class ProgressMessage(str):
    """A progress text that carries numbers, for curves. values: name -> finite number."""

    values: Mapping[str, float]

    def __new__(cls, text: str, values: Mapping[str, float]) -> ProgressMessage:
        message = super().__new__(cls, text)
        message.values = {name: value for name, value in values.items() if math.isfinite(value)}
        return message


def message_values(text: str) -> dict[str, float]:
    """Return the numbers of a ProgressMessage; an empty dict for a plain text."""
    return dict(text.values) if isinstance(text, ProgressMessage) else {}


def no_progress(fraction: float, text: str) -> None:
    """Ignore progress."""


def sub_progress(progress: Progress, start: float, stop: float) -> Progress:
    """Return a Progress whose 0 to 1 covers `start` to `stop` of `progress`."""
    return lambda fraction, text: progress(start + (stop - start) * fraction, text)


class Stopwatch:
    """Measures stages and reports each one's start to `progress`. seconds: stage -> seconds, summed over repeats."""

    def __init__(self, progress: Progress = no_progress) -> None:
        self.progress, self.seconds = progress, dict[str, float]()
        self._name, self._since = "", time.monotonic()

    def stage(self, name: str, fraction: float) -> None:
        """End the running stage and start `name`, at `fraction` of the whole."""
        self.end()
        self._name, self._since = name, time.monotonic()
        self.progress(fraction, name)

    def end(self) -> None:
        """End the running stage."""
        if self._name:
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + time.monotonic() - self._since
            self._name = ""
