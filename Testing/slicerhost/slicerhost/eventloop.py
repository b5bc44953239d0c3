"""Count the turns of the event loop: how often the window could serve clicks and redraws during a computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PySide6 import QtCore


@dataclass
class Turns:
    """count: turns of the event loop so far. A computation in one slot takes a single turn, however long it lasts."""

    count: int = 0

    def add(self) -> None:
        self.count += 1


@contextmanager
def count_turns() -> Iterator[Turns]:
    """Count from here to the end of the block, which must run the event loop (`panel.wait_until`)."""
    turns = Turns()
    dispatcher = QtCore.QAbstractEventDispatcher.instance()
    dispatcher.awake.connect(turns.add)
    try:
        yield turns
    finally:
        dispatcher.awake.disconnect(turns.add)
