from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from SlicerSynthReg.reading.key import CaseTruth, Key
from SlicerSynthReg.reading.question import GENERATED, PAIR, REAL, SINGLE, Question
from SlicerSynthReg.reading.session import Reading
from SlicerSynthReg.reading.study import Case, Image, Part, Study, read_study

WHICH = Question("which", PAIR, "Which one is generated?")
REAL_OR_NOT = Question("what", SINGLE, "Real or generated?", confidence=3)
QUALITY = Question("quality", "likert", "Image quality", levels=("poor", "fair", "good", "excellent"))
REMARKS = Question("remarks", "text", "Remarks", required=False)


def write_study(folder: Path, pairs: int = 6, singles: int = 0, repeats: int = 0, seed: int = 1, **more) -> Study:
    """Cases p0, p1... of patients; image files hold a few bytes. Tokens are fixed, truth follows from them."""
    (folder / "images").mkdir(parents=True)
    truths = []

    def image(name: str) -> Image:
        token = hashlib.sha256(f"{folder.name}{name}".encode()).hexdigest()[:8]
        file = folder / "images" / f"{token}.nii"
        file.write_text(name)
        return Image(token, f"images/{token}.nii", hashlib.sha256(name.encode()).hexdigest())

    def case(name: str, roles: tuple[str, ...]) -> Case:
        images = {role: image(f"{name} {role}") for role in roles}
        token = image(name).token + "c"
        truths.append(CaseTruth(token, f"patient {name}", {images[role].token: role for role in roles}))
        return Case(token, tuple(sorted(images.values(), key=lambda one: one.token)))

    parts = []
    if pairs:
        cases = tuple(case(f"p{n}", (REAL, GENERATED)) for n in range(pairs))
        asked, limit = more.pop("pair_questions", (WHICH,)), more.pop("time_limit_s", None)
        parts.append(Part("pairs", asked, cases, repeats, limit))
    if singles:
        cases = tuple(case(f"s{n}", ((REAL, GENERATED)[n % 2],)) for n in range(singles))
        parts.append(Part("singles", more.pop("single_questions", (REAL_OR_NOT, QUALITY, REMARKS)), cases, repeats))
    key = json.dumps(Key("A study", "salt", tuple(truths)).to_json()).encode()
    (folder / "key.json").write_bytes(key)
    study = Study("A study", seed, hashlib.sha256(key).hexdigest(), tuple(parts), **more)
    (folder / "study.json").write_text(json.dumps(study.to_json()))
    return read_study(folder)


class Ticking:
    """A clock and a timer that only move when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def timer(self) -> float:
        return self.now

    def clock(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=self.now)


@pytest.fixture
def a_study(tmp_path) -> Callable[..., Study]:
    return lambda **how: write_study(tmp_path / "study", **how)


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


def read_to_the_end(study: Study, reader: str, choose=None, stop_after: int | None = None) -> int:
    """Answers every open item by `choose` (item -> answers; always "left" by default); returns how many."""
    choose = choose or (lambda item: {"which": "left"})
    done = 0
    with Reading(study, reader) as reading:
        while reading.current is not None and done != stop_after:
            reading.answer(choose(reading.show()))
            done += 1
    return done


@pytest.fixture(scope="session")
def a_finished_study(tmp_path_factory) -> Path:
    """The folder of a study whose six pairs Anna has answered: her log has 14 lines."""
    study = write_study(tmp_path_factory.mktemp("finished") / "study")
    assert read_to_the_end(study, "Anna") == 6
    return study.folder


@pytest.fixture
def finished_log(a_finished_study, tmp_path) -> Path:
    """Anna's log, in a copy of the study that a test may spoil."""
    shutil.copytree(a_finished_study, tmp_path / "study")
    [path] = (tmp_path / "study" / "answers").glob("*.jsonl")
    return path
