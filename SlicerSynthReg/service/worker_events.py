"""What a client observes of its worker: events, silence, time, and the cause of its end."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from SlicerSynthReg.errors import WorkerEnded

_CRASHES = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"}
_WINDOWS_CRASHES = {0xC0000005: "access violation", 0xC0000409: "stack buffer overrun", 0xC00000FD: "stack overflow"}
_MIN_CPU_S = 0.01


class EventReader:
    """Reads events in a thread, so that the worker is never blocked by a full pipe. heard: count of lines so far."""

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self.heard = 0
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        if stream is not None:
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError), stream:
            for line in stream:
                self.heard += 1
                with suppress(ValueError, RecursionError):  # such a line is no event
                    event = json.loads(line.decode("utf-8"))
                    if isinstance(event, dict) and event.get("event") != "heartbeat":
                        self._queue.put(event)
        self._queue.put(None)

    def until_end(self, process: subprocess.Popen[bytes], poll_s: float) -> Iterator[dict[str, Any] | None]:
        """Yield the events until the process ends, and None at least once in `poll_s` seconds."""
        looked = time.monotonic()
        while True:
            try:
                event = self._queue.get(timeout=poll_s)
            except queue.Empty:
                if process.poll() is not None:  # the pipe is open in another process
                    return
                event = {}
            if event is None:
                return
            if event:
                yield event
            if not event or time.monotonic() - looked >= poll_s:
                looked = time.monotonic()
                yield None


class Watch:
    """Limits of one run. stall_limit_s: of silence without use of the processor. time_limit_s: of the run, or None.

    Silence is counted between two checks at most as long as `_STEP_S`: a computer that was suspended is no stall.
    """

    _STEP_S = 5.0

    def __init__(self, pid: int, stall_limit_s: float, time_limit_s: float | None) -> None:
        self._pid, self._stall_limit_s, self._time_limit_s = pid, stall_limit_s, time_limit_s
        self._start = self._checked = time.monotonic()
        self._silent_s, self._heard, self._cpu_s = 0.0, -1, 0.0

    def check(self, heard: int) -> None:
        """Raise WorkerEnded (worker-stalled, time-limit) if a limit is exceeded. heard: EventReader.heard."""
        now = time.monotonic()
        cpu_s = _cpu_seconds(self._pid)
        if heard != self._heard or cpu_s - self._cpu_s > _MIN_CPU_S:
            self._silent_s, self._heard, self._cpu_s = 0.0, heard, cpu_s
        else:
            self._silent_s += min(now - self._checked, self._STEP_S)
        self._checked = now
        if self._time_limit_s is not None and now - self._start > self._time_limit_s:
            raise WorkerEnded(
                f"Found that the run takes longer than its limit of {self._time_limit_s / 60:g} minutes, expected it "
                "to end before; it was stopped and nothing was written. Raise --time-limit or choose preset fast.",
                code="time-limit",
            )
        if self._silent_s > self._stall_limit_s:
            raise WorkerEnded(
                f"Found that the worker process has neither answered nor computed for {self._stall_limit_s:g} seconds, "
                "expected a heartbeat; it was ended and nothing was written. Look whether a drive of the inputs hangs "
                "or the process was suspended, and run again.",
                code="worker-stalled",
            )


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, without its children; 0 if it has ended."""
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def memory_kills() -> int:
    """Return how many processes the system has ended for lack of memory, in this control group and on this machine.

    Linux only; 0 where the counters cannot be read.
    """
    found = 0
    for path in (*_own_group(), Path("/proc/vmstat")):
        with suppress(OSError, ValueError):
            words = dict(line.split()[:2] for line in path.read_text().splitlines() if line)
            found += int(words.get("oom_kill", 0))
    return found


def _own_group() -> list[Path]:
    """Return the memory.events of the control group (version 2) of this process, where it has one."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return [Path("/sys/fs/cgroup") / line[3:].lstrip("/") / "memory.events"]
    return []


def end_of_worker(code: int, out_of_memory: bool) -> WorkerEnded:
    """Return the error of a worker that ended with exit status `code` (negative: by that signal, as subprocess has it).

    out_of_memory: whether the system counted a process that it ended for lack of memory meanwhile.
    """
    name = _signal_name(-code) if code < 0 else _WINDOWS_CRASHES.get(code & 0xFFFFFFFF, "")
    ended = f"was ended by signal {-code} ({name})" if code < 0 else f"ended with code {code}"
    found = f"Found that the worker process {ended}, expected a result; nothing was written."
    if name in _CRASHES or (code > 0 and name):
        return WorkerEnded(
            f"{found} The reader or a library crashed on this input: convert its files with another program, or "
            "leave the row out.",
            code="worker-crashed",
        )
    if name == "SIGKILL" and out_of_memory:
        return WorkerEnded(
            f"{found} The system ended a process for lack of memory meanwhile: run fewer workers at once, choose "
            "preset fast, or crop the images.",
            code="memory",
        )
    if code < 0:
        return WorkerEnded(
            f"{found} Another program or an administrator sent that signal; no lack of memory was recorded. Run again."
        )
    return WorkerEnded(f"{found} Run again, or run the request alone with its command to see what it prints.")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
