from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.blinding_key import BlindingKey, CaseTruth
from SlicerSynthReg.reader_study.question import GENERATED, PAIR, REAL, SINGLE, ReadingQuestion
from SlicerSynthReg.reader_study.session import ReadingSession
from SlicerSynthReg.reader_study.study import Study, StudyCase, StudyImage, StudyPart, read_study

WHICH = ReadingQuestion("which", PAIR, "Which one is generated?")
REAL_OR_NOT = ReadingQuestion("what", SINGLE, "Real or generated?", confidence=3)
QUALITY = ReadingQuestion("quality", "likert", "Image quality", levels=("poor", "fair", "good", "excellent"))
COMMENTS = ReadingQuestion("comments", "text", "Comments", required=False)


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Expect a StudyError with this code."""
    with pytest.raises(StudyError) as error:
        yield
    assert error.value.code == code


def write_study(folder: Path, pairs: int = 6, singles: int = 0, repeats: int = 0, seed: int = 1, **more) -> Study:
    """Write a study with cases p0, p1... whose image files hold a few bytes; tokens are deterministic."""
    (folder / "images").mkdir(parents=True)
    truths = []

    def image(name: str) -> StudyImage:
        token = hashlib.sha256(f"{folder.name}{name}".encode()).hexdigest()[:8]
        file = folder / "images" / f"{token}.nii"
        file.write_text(name)
        return StudyImage(token, f"images/{token}.nii", hashlib.sha256(name.encode()).hexdigest())

    def case(name: str, roles: tuple[str, ...]) -> StudyCase:
        images = {role: image(f"{name} {role}") for role in roles}
        token = image(name).token + "c"
        truths.append(CaseTruth(token, f"patient {name}", {images[role].token: role for role in roles}))
        return StudyCase(token, tuple(sorted(images.values(), key=lambda one: one.token)))

    parts = []
    if pairs:
        cases = tuple(case(f"p{n}", (REAL, GENERATED)) for n in range(pairs))
        questions, limit = more.pop("pair_questions", (WHICH,)), more.pop("time_limit_s", None)
        parts.append(StudyPart("pairs", questions, cases, repeats, limit))
    if singles:
        cases = tuple(case(f"s{n}", ((REAL, GENERATED)[n % 2],)) for n in range(singles))
        parts.append(
            StudyPart("singles", more.pop("single_questions", (REAL_OR_NOT, QUALITY, COMMENTS)), cases, repeats)
        )
    key = json.dumps(BlindingKey("A study", "salt", tuple(truths)).to_json()).encode()
    (folder / "key.json").write_bytes(key)
    study = Study("A study", seed, hashlib.sha256(key).hexdigest(), tuple(parts), **more)
    (folder / "study.json").write_text(json.dumps(study.to_json()))
    return read_study(folder)


class ManualClock:
    """Clock and timer that are advanced by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def timer(self) -> float:
        return self.now

    def clock(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=self.now)


@pytest.fixture
def new_study(tmp_path) -> Callable[..., Study]:
    return lambda **how: write_study(tmp_path / "study", **how)


@pytest.fixture
def manual_clock() -> ManualClock:
    return ManualClock()


def complete_reading(study: Study, reader: str, choose=None, stop_after: int | None = None) -> int:
    """Answer every open item by `choose` (item -> answers; default "left"); return the number of answers."""
    choose = choose or (lambda item: {"which": "left"})
    done = 0
    with ReadingSession(study, reader) as reading:
        while reading.current is not None and done != stop_after:
            reading.answer(choose(reading.show()))
            done += 1
    return done


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory) -> Path:
    """Return the folder of a study whose six pairs Anna has answered; her log has 14 lines."""
    study = write_study(tmp_path_factory.mktemp("finished") / "study")
    assert complete_reading(study, "Anna") == 6
    return study.folder


@pytest.fixture
def finished_log(finished_study, tmp_path) -> Path:
    """Return Anna's log in a copy of the study that a test may modify."""
    shutil.copytree(finished_study, tmp_path / "study")
    [path] = (tmp_path / "study" / "answers").glob("*.jsonl")
    return path
