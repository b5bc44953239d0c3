"""Create a study: allocation of cases to parts, anonymous tokens, and copies of the images without headers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import read_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.reader_study.blinding_key import KEY_FILE, BlindingKey, CaseTruth
from SlicerSynthReg.reader_study.ct_windows import DisplayWindow
from SlicerSynthReg.reader_study.question import GENERATED, LANDMARKS, PAIR, REAL, SINGLE, UNKNOWN, ReadingQuestion
from SlicerSynthReg.reader_study.sources import CaseSource
from SlicerSynthReg.reader_study.study import (
    STUDY_FILE,
    Study,
    StudyCase,
    StudyImage,
    StudyPart,
    file_sha256,
    read_study,
    study_from_json,
)


@dataclass(frozen=True)
class PartPlan:
    """A part to be filled. count: of cases, None for all remaining suitable ones. A pair question needs a real and a
    generated image, a single question either, the others any image."""

    name: str
    questions: tuple[ReadingQuestion, ...]
    count: int | None = None
    repeats: int = 0
    time_limit_s: float | None = None

    @property
    def kind(self) -> str:
        """PAIR, SINGLE, or UNKNOWN without a choice question."""
        return next((question.kind for question in self.questions if question.kind in (PAIR, SINGLE)), UNKNOWN)


@dataclass(frozen=True)
class StudyPlan:
    """seed: of the allocation of cases to parts, and of every reader's order and sides. copy_images: write the images
    as token.nii without headers; otherwise the study refers to the original files, whose names are in study.json.
    any_grid: allow different grids in a pair, which may reveal the generated image."""

    title: str
    parts: tuple[PartPlan, ...]
    seed: int = 0
    readers: tuple[str, ...] = ()
    window: DisplayWindow | None = None
    instructions: str = ""
    copy_images: bool = True
    any_grid: bool = False


@dataclass(frozen=True)
class AllocatedCase:
    """A source allocated to a part, with the roles that are shown."""

    source: CaseSource
    roles: tuple[str, ...]


def make_study(
    sources: Sequence[CaseSource],
    plan: StudyPlan,
    out: Path,
    key: Path | None = None,
    progress: Progress = no_progress,
) -> Study:
    """Write study.json, key.json (or `key`) and the images into the new folder `out`, completely or not at all.

    No case is in two parts; a single part has as many generated as real images as the cases allow. Raises StudyError
    ("folder-not-empty", "key-exists", "too-few-cases", "image-duplicate", "grids-differ", "landmarks-missing"),
    ImageError, OSError.
    """
    out = out.absolute()
    if out.exists() and any(out.iterdir()):
        raise StudyError(
            f"Found files in {out.name}, expected a new folder: responses belong to one study.", code="folder-not-empty"
        )
    key = out / KEY_FILE if key is None else key.absolute()
    if key.exists():
        raise StudyError(
            f"Found {key.name} there already, expected a new file: it may be the key of another study.",
            code="key-exists",
        )
    allocated = _allocate(sources, plan)
    partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    (partial / "images").mkdir(parents=True)
    try:
        writer = _ImageWriter(partial, plan.copy_images, plan.any_grid)
        total, done = sum(len(cases) for cases in allocated), 0
        parts, truths = [], []
        for part, cases in zip(plan.parts, allocated):
            made = []
            for case in sorted(cases, key=lambda _: secrets.token_bytes(8)):
                progress(done / total, f"case {done + 1} of {total}")
                made.append(writer.write(case, part))
                done += 1
            made.sort(key=lambda pair: pair[0].token)
            parts.append(
                StudyPart(part.name, part.questions, tuple(case for case, _ in made), part.repeats, part.time_limit_s)
            )
            truths += [truth for _, truth in made]
        key_data = _json(
            BlindingKey(plan.title, secrets.token_hex(16), tuple(sorted(truths, key=lambda t: t.token))).to_json()
        )
        fingerprint = hashlib.sha256(key_data).hexdigest()
        study = Study(plan.title, plan.seed, fingerprint, tuple(parts), plan.readers, plan.window, plan.instructions)
        study_data = _json(study.to_json())
        study_from_json({k: v for k, v in json.loads(study_data).items() if k not in ("format", "version")})
        (partial / STUDY_FILE).write_bytes(study_data)
        inside = key.parent == out
        _write_private(partial / key.name if inside else key, key_data)
        if out.exists():
            out.rmdir()
        os.rename(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return read_study(out)


def _allocate(sources: Sequence[CaseSource], plan: StudyPlan) -> list[list[AllocatedCase]]:
    """Return the cases of each part, allocated at random with the plan's seed."""
    left = list(sources)
    random.Random(f"{plan.seed} cases").shuffle(left)
    parts = []
    for part in plan.parts:
        fits = [source for source in left if _fits(source, part.kind)]
        count = len(fits) if part.count is None else part.count
        if count > len(fits) or not count:
            needs = {PAIR: "a real and a generated image", SINGLE: "a real or a generated image"}
            raise StudyError(
                f"Found {len(fits)} unused cases with {needs.get(part.kind, 'an image')} for the part {part.name!r}, "
                f"expected {count or 'at least 1'}: no case is read in two parts. Add cases, or ask for fewer.",
                code="too-few-cases",
            )
        cases = _balanced(fits, count) if part.kind == SINGLE else [_whole(fit, part.kind) for fit in fits[:count]]
        taken = {case.source.name for case in cases}
        left = [source for source in left if source.name not in taken]
        parts.append(cases)
    return parts


def _fits(source: CaseSource, kind: str) -> bool:
    truths = {REAL, GENERATED} & set(source.images)
    return {PAIR: len(truths) == 2, SINGLE: bool(truths)}.get(kind, True)


def _whole(source: CaseSource, kind: str) -> AllocatedCase:
    return AllocatedCase(source, (REAL, GENERATED) if kind == PAIR else tuple(source.images))


def _balanced(fits: Sequence[CaseSource], count: int) -> list[AllocatedCase]:
    """Return `count` cases, half of them generated as far as possible: cases with one image have no choice."""
    wanted = {GENERATED: count // 2, REAL: count - count // 2}
    cases: list[AllocatedCase] = []
    free = []
    for source in fits:
        roles = [role for role in wanted if role in source.images]
        if len(roles) == 2:
            free.append(source)
        elif wanted[roles[0]]:
            wanted[roles[0]] -= 1
            cases.append(AllocatedCase(source, (roles[0],)))
    for source in free[: count - len(cases)]:
        role = max(wanted, key=lambda item: wanted[item])
        wanted[role] -= 1
        cases.append(AllocatedCase(source, (role,)))
    used = {case.source.name for case in cases}
    rest = [source for source in fits if source.name not in used]
    return cases + [AllocatedCase(source, tuple(source.images)) for source in rest[: count - len(cases)]]


class _ImageWriter:
    """Writes images and reference of a study; tokens and images are unique."""

    def __init__(self, folder: Path, copy: bool, any_grid: bool) -> None:
        self.folder, self.copy, self.any_grid = folder, copy, any_grid
        self.tokens: set[str] = set()
        self.digests: dict[str, str] = {}

    def write(self, allocated: AllocatedCase, plan: PartPlan) -> tuple[StudyCase, CaseTruth]:
        """Write the images of a case; return the case and its reference."""
        source = allocated.source
        volumes = {role: read_image(source.images[role]) for role in allocated.roles}
        if len(volumes) == 2 and not self.any_grid:
            _require_same_grid(source, *volumes.values())
        pairs = []
        for role in sorted(volumes, key=lambda _: secrets.token_bytes(8)):
            self._require_unique_image(volumes[role], f"{role} of {source.name}")
            pairs.append((self._image(source.images[role], volumes[role]), role))
        images = {image.token: role for image, role in pairs}
        case = StudyCase(self._token(), tuple(sorted((image for image, _ in pairs), key=lambda image: image.token)))
        return case, CaseTruth(case.token, source.name, images, _landmarks(source, plan))

    def _token(self) -> str:
        while True:
            token = secrets.token_hex(4)
            if token not in self.tokens:
                self.tokens.add(token)
                return token

    def _image(self, path: Path, volume: Image) -> StudyImage:
        token = self._token()
        if self.copy:
            file = self.folder / "images" / f"{token}.nii"
            write_image(volume, file)
            return StudyImage(token, f"images/{file.name}", file_sha256(file))
        if path.is_dir():
            raise StudyError(
                "Found a DICOM folder among images left in place, expected files. Let them be copied.",
                code="dicom-not-copied",
            )
        return StudyImage(token, path.absolute().as_posix(), file_sha256(path))

    def _require_unique_image(self, volume: Image, name: str) -> None:
        digest = hashlib.sha256(volume.data.numpy().tobytes()).hexdigest()
        if digest in self.digests:
            raise StudyError(
                f"Found the same image twice, as {self.digests[digest]} and as {name}, expected each once: a reader "
                "would recognise it. Remove one.",
                code="image-duplicate",
            )
        self.digests[digest] = name


def _require_same_grid(source: CaseSource, first: Image, second: Image) -> None:
    if not first.grid.same_as(second.grid):
        raise StudyError(
            f"Found images of {first.grid.shape} and {second.grid.shape} voxels on different grids in the case "
            f"{source.name}, expected one grid: size and place would tell which is which. Resample one onto the other "
            "(synthreg transform apply), or pass --any-grid to allow it.",
            code="grids-differ",
        )


def _landmarks(source: CaseSource, plan: PartPlan) -> dict[str, tuple[float, float, float]]:
    """Return the expert's positions of the points in the questions."""
    points = {point for question in plan.questions if question.kind == LANDMARKS for point in question.points}
    if source.landmarks is None or not points:
        return {}
    given = read_landmarks(source.landmarks)
    found = {label: tuple(place) for label, place in zip(given.labels, given.points_mm.tolist()) if label in points}
    missing = sorted(points - set(found))
    if missing:
        raise StudyError(
            f"Found no point {', '.join(missing)} in the landmarks of the case {source.name}, expected the points that "
            "are in the questions, under the same names. Add or rename them.",
            code="landmarks-missing",
        )
    return found


def _write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner may read (mode 0600). Raises FileExistsError; follows no link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as stream:
        stream.write(data)


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
