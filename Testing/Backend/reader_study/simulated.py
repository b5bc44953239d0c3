"""Simulated readers, whose answers are a function of the case, known to the test without the log."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from SlicerSynthReg.reader_study.schedule import ReadingItem
from SlicerSynthReg.reader_study.session import ReadingSession
from SlicerSynthReg.reader_study.study import read_study


def pseudo_random(*of: object) -> float:
    """Return a number in 0..1 that is determined by the arguments."""
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:6], "big") / 2**48


def roles_of(folder: Path) -> dict[str, dict[str, str]]:
    """Return case token -> image token -> role from the key file."""
    cases = json.loads((folder / "key.json").read_text())["cases"]
    return {case["token"]: case["images"] for case in cases}


def is_correct(reader: str, case: str, repeat: int, skill: float = 0.75) -> bool:
    return pseudo_random(reader, case, repeat) < skill


def confidence(reader: str, case: str) -> int:
    return 1 + int(3 * pseudo_random("sure", reader, case))


def quality(reader: str, case: str, repeat: int) -> int:
    """Return a grade; readers agree in about two of three cases."""
    return 1 + int(
        4 * pseudo_random("quality", case if pseudo_random("agree", case, repeat) < 0.67 else (reader, case, repeat))
    )


def answers(folder: Path, reader: str, item: ReadingItem) -> dict[str, Any]:
    roles = roles_of(folder)[item.case.token]
    right = is_correct(reader, item.case.token, item.repeat)
    shown = [roles[image.token] for image in item.images]
    if item.part.name == "pairs":
        generated = shown.index("generated")
        return {"which": ("left", "right")[generated if right else 1 - generated]}
    other = {"real": "generated", "generated": "real"}[shown[0]]
    choice = {"choice": shown[0] if right else other, "confidence": confidence(reader, item.case.token)}
    return {
        "what": choice,
        "quality": quality(reader, item.case.token, item.repeat),
        "comments": f"“{item.label}”, {reader}" if right else "",
    }


def read_until_killed(folder: Path, reader: str, moment: int, keep: int) -> None:
    """Read until SIGKILL at the `moment`-th write, after `keep` per cent of its bytes are written."""
    write, writes = os.write, 0

    def write_and_die(file: int, data: Any) -> int:
        nonlocal writes
        writes += 1
        if writes == moment:
            write(file, bytes(data)[: len(data) * keep // 100])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(file, data)

    os.write = write_and_die
    with ReadingSession(read_study(folder), reader) as reading:
        while reading.current is not None:
            reading.answer(answers(folder, reader, reading.show()))
            print(len(reading.answers), flush=True)


if __name__ == "__main__":
    read_until_killed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
