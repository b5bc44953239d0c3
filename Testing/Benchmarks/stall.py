"""Measure the longest block of the event loop, which a user perceives as a frozen window.

A timer ticks every few milliseconds; during a gap between two ticks no click, no redraw and no other timer is served.
Time in which the operating system or a hypervisor gave the core to others is subtracted (Linux reports both), so that
the figure is that of the code. A second thread samples the call stack of the main thread during a gap.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PySide6 import QtCore

_TICK_MS = 2
_SAMPLE_S = 0.01


@dataclass
class Stall:
    """longest_ms: longest gap so far in ms of available processor time. where: the call stack in its middle."""

    longest_ms: float = 0.0
    where: str = ""
    ticks: int = 0

    def __str__(self) -> str:
        return f"the event loop stood still for {self.longest_ms:.0f} ms ({self.ticks} ticks)\n{self.where}"


def _waited_ms() -> float:
    """Return the milliseconds in which this thread was ready to run and had no core."""
    schedule = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    return int(schedule.read_text().split()[1]) / 1e6 if schedule.exists() else 0.0


def _stolen_ms() -> tuple[int, float]:
    """Return the core of this thread and the milliseconds that a hypervisor has taken from that core."""
    place, cores = Path(f"/proc/self/task/{threading.get_native_id()}/stat"), Path("/proc/stat")
    if not place.exists():
        return 0, 0.0
    core = int(place.read_text().rpartition(")")[2].split()[36])
    line = next((line for line in cores.read_text().splitlines() if line.startswith(f"cpu{core} ")), "")
    return core, int(line.split()[8]) * 1e3 / os.sysconf("SC_CLK_TCK") if line else 0.0


def _where(thread: int) -> str:
    """Return the innermost calls of a thread.

    The switch interval keeps that thread from running meanwhile: a frame that ended now would be freed here, with its
    Qt objects, which only their own thread may free.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1.0)
    try:
        frame, calls = sys._current_frames().get(thread), []
        while frame is not None and len(calls) < 6:
            calls.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            frame = frame.f_back
        del frame
    finally:
        sys.setswitchinterval(interval)
    return "\n".join(reversed(calls))


@contextmanager
def stall_meter() -> Iterator[Stall]:
    """Measure from here to the end of the block, which must run the event loop (`panel.wait_until`)."""
    gc.collect()
    gc.disable()  # in the watcher's thread it would free Qt objects, which only the main thread may free
    stall = Stall()
    main = threading.get_ident()
    last = [time.perf_counter() * 1e3, _waited_ms()]
    before = [_stolen_ms()]
    samples: list[tuple[float, str]] = []
    done = threading.Event()

    def close_gap() -> None:
        now, waited = time.perf_counter() * 1e3, _waited_ms()
        (core, stolen), (same, taken) = _stolen_ms(), before[0]
        withheld = max(waited - last[1], stolen - taken if core == same else 0.0)  # one may contain the other
        gap = now - last[0] - withheld
        if gap > stall.longest_ms:
            stall.longest_ms = gap
            inside = [place for moment, place in samples if moment > last[0]]
            stall.where = inside[len(inside) // 2] if inside else ""
        last[:] = now, waited
        before[0] = core, stolen
        samples.clear()
        stall.ticks += 1

    def watch() -> None:
        while not done.wait(_SAMPLE_S):
            moment = time.perf_counter() * 1e3
            if moment - last[0] > 2 * _SAMPLE_S * 1e3:
                samples.append((moment, _where(main)))

    timer = QtCore.QTimer()
    timer.setTimerType(QtCore.Qt.PreciseTimer)
    timer.timeout.connect(close_gap)
    timer.start(_TICK_MS)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield stall
    finally:
        close_gap()
        timer.stop()
        done.set()
        watcher.join()
        gc.enable()
