"""Exceptions in slots and observers, which Qt and VTK print and forget: kept here, raised at the test's next step."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType


class ErrorInSlot(AssertionError):
    """Code that Qt or VTK called raised; its traceback is the message."""


class Collector:
    """In place of `sys.excepthook`."""

    def __init__(self) -> None:
        self._kept: list[str] = []

    def install(self) -> None:
        sys.excepthook = self._keep

    def _keep(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._kept.append("".join(traceback.format_exception(kind, error, trace)))

    def forget(self) -> None:
        self._kept.clear()

    def expect(self, text: str) -> None:
        """The last error had `text` in it, and is thereby dealt with; raises when there was none."""
        found = [one for one in self._kept if text in one]
        if not found:
            raise AssertionError(f"Expected an error with {text!r} in a slot, found {self._kept or 'none'}")
        self._kept.remove(found[-1])

    def raise_kept(self) -> None:
        kept, self._kept = self._kept, []
        if kept:
            raise ErrorInSlot("\n".join(kept))


errors = Collector()
