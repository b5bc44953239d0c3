"""Simulated readers: what they answer is a function of the case, so that a test can know it without the log."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from SlicerSynthReg.reading.schedule import Item
from SlicerSynthReg.reading.session import Reading
from SlicerSynthReg.reading.study import read_study


def chance(*of: object) -> float:
    """0 to 1, the same for the same arguments."""
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:6], "big") / 2**48


def roles_of(folder: Path) -> dict[str, dict[str, str]]:
    """Case token -> image token -> role, read from the key file as any program could."""
    cases = json.loads((folder / "key.json").read_text())["cases"]
    return {case["token"]: case["images"] for case in cases}


def is_right(reader: str, case: str, repeat: int, skill: float = 0.75) -> bool:
    return chance(reader, case, repeat) < skill


def confidence(reader: str, case: str) -> int:
    return 1 + int(3 * chance("sure", reader, case))


def quality(reader: str, case: str, repeat: int) -> int:
    """Readers agree for two cases of three."""
    return 1 + int(4 * chance("quality", case if chance("agree", case, repeat) < 0.67 else (reader, case, repeat)))


def answers(folder: Path, reader: str, item: Item) -> dict[str, Any]:
    roles = roles_of(folder)[item.case.token]
    right = is_right(reader, item.case.token, item.repeat)
    shown = [roles[image.token] for image in item.images]
    if item.part.name == "pairs":
        generated = shown.index("generated")
        return {"which": ("left", "right")[generated if right else 1 - generated]}
    other = {"real": "generated", "generated": "real"}[shown[0]]
    choice = {"choice": shown[0] if right else other, "confidence": confidence(reader, item.case.token)}
    return {
        "what": choice,
        "quality": quality(reader, item.case.token, item.repeat),
        "remarks": f"“{item.label}”, {reader}" if right else "",
    }


def read_until_killed(folder: Path, reader: str, moment: int, keep: int) -> None:
    """Reads on, until SIGKILL at the `moment`-th write, when `keep` per cent of its bytes have reached the file."""
    write, writes = os.write, 0

    def deadly(file: int, data: Any) -> int:
        nonlocal writes
        writes += 1
        if writes == moment:
            write(file, bytes(data)[: len(data) * keep // 100])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(file, data)

    os.write = deadly
    with Reading(read_study(folder), reader) as reading:
        while reading.current is not None:
            reading.answer(answers(folder, reader, reading.show()))
            print(len(reading.answers), flush=True)


if __name__ == "__main__":
    read_until_killed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
