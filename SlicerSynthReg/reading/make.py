"""A study from cases: which are read in which part, tokens for names, copies of the images without their headers."""

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

from SlicerSynthReg.reading.key import KEY_FILE, CaseTruth, Key
from SlicerSynthReg.reading.question import GENERATED, LANDMARKS, PAIR, REAL, SINGLE, UNKNOWN, Question, StudyError
from SlicerSynthReg.reading.sources import Source
from SlicerSynthReg.reading.study import STUDY_FILE, Case, Image, Part, Study, file_sha256, read_study, study_from_json
from SlicerSynthReg.reading.windows import Window
from SlicerSynthReg.request import Progress, silent
from SlicerSynthReg.volume.landmarks import read_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume


@dataclass(frozen=True)
class PartPlan:
    """A part to be filled. count: cases, None for all that are left and fit. Its questions say what fits: a pair
    question needs a real and a generated image, a single one either, the others any."""

    name: str
    questions: tuple[Question, ...]
    count: int | None = None
    repeats: int = 0
    time_limit_s: float | None = None

    @property
    def kind(self) -> str:
        return next((one.kind for one in self.questions if one.kind in (PAIR, SINGLE)), UNKNOWN)


@dataclass(frozen=True)
class StudyPlan:
    """seed: of which cases fall into which part, and of every reader's order and sides."""

    title: str
    parts: tuple[PartPlan, ...]
    seed: int = 0
    readers: tuple[str, ...] = ()
    window: Window | None = None
    instructions: str = ""


@dataclass(frozen=True)
class Chosen:
    """A source in a part, with the roles that are shown."""

    source: Source
    roles: tuple[str, ...]


def make_study(
    sources: Sequence[Source],
    plan: StudyPlan,
    out: Path,
    key: Path | None = None,
    copy: bool = True,
    any_grid: bool = False,
    progress: Progress = silent,
) -> Study:
    """Writes study.json, key.json (or `key`) and the images into the new folder `out`; all of it or nothing.

    No case is read in two parts; a single part shows as many generated as real images as the cases allow. copy: images
    are written anew as token.nii, so that neither names nor headers tell anything; otherwise the study refers to the
    files where they are, and whoever opens study.json can read their names. any_grid: allow the two images of a pair
    to differ in size or place, which gives them away.
    Errors: StudyError where cases are too few, images occur twice or do not fit; VolumeError for unreadable images;
    OSError where nothing can be written.
    """
    out = out.absolute()
    if out.exists() and any(out.iterdir()):
        raise StudyError(f"Found files in {out.name}, expected a new folder: answers belong to one study.")
    key = out / KEY_FILE if key is None else key.absolute()
    if key.exists():
        raise StudyError(f"Found {key.name} there already, expected a new file: it may be the key of another study.")
    chosen = _allocated(sources, plan)
    partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    (partial / "images").mkdir(parents=True)
    try:
        writer = _Writer(partial, copy, any_grid)
        total, done = sum(len(cases) for cases in chosen), 0
        parts, truths = [], []
        for one, cases in zip(plan.parts, chosen):
            made = []
            for case in sorted(cases, key=lambda _: secrets.token_bytes(8)):
                progress(done / total, f"case {done + 1} of {total}")
                made.append(writer.case(case, one))
                done += 1
            made.sort(key=lambda pair: pair[0].token)
            parts.append(Part(one.name, one.questions, tuple(case for case, _ in made), one.repeats, one.time_limit_s))
            truths += [truth for _, truth in made]
        key_data = _json(Key(plan.title, secrets.token_hex(16), tuple(sorted(truths, key=lambda t: t.token))).to_json())
        fingerprint = hashlib.sha256(key_data).hexdigest()
        study = Study(plan.title, plan.seed, fingerprint, tuple(parts), plan.readers, plan.window, plan.instructions)
        study_data = _json(study.to_json())
        study_from_json({k: v for k, v in json.loads(study_data).items() if k not in ("format", "version")})
        (partial / STUDY_FILE).write_bytes(study_data)
        inside = key.parent == out
        (partial / key.name if inside else key).write_bytes(key_data)
        if out.exists():
            out.rmdir()
        os.rename(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return read_study(out)


def _allocated(sources: Sequence[Source], plan: StudyPlan) -> list[list[Chosen]]:
    """The cases of each part, drawn by the seed; pairs first where a part leaves the count open."""
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
                f"expected {count or 'at least 1'}: no case is read in two parts. Add cases, or ask for fewer."
            )
        cases = _halved(fits, count) if part.kind == SINGLE else [_whole(one, part.kind) for one in fits[:count]]
        taken = {case.source.name for case in cases}
        left = [source for source in left if source.name not in taken]
        parts.append(cases)
    return parts


def _fits(source: Source, kind: str) -> bool:
    truths = {REAL, GENERATED} & set(source.images)
    return {PAIR: len(truths) == 2, SINGLE: bool(truths)}.get(kind, True)


def _whole(source: Source, kind: str) -> Chosen:
    return Chosen(source, (REAL, GENERATED) if kind == PAIR else tuple(source.images))


def _halved(fits: Sequence[Source], count: int) -> list[Chosen]:
    """`count` cases, half of them generated as far as can be: those with one image only have no choice."""
    wanted = {GENERATED: count // 2, REAL: count - count // 2}
    cases: list[Chosen] = []
    free = []
    for source in fits:
        roles = [role for role in wanted if role in source.images]
        if len(roles) == 2:
            free.append(source)
        elif wanted[roles[0]]:
            wanted[roles[0]] -= 1
            cases.append(Chosen(source, (roles[0],)))
    for source in free[: count - len(cases)]:
        role = max(wanted, key=lambda one: wanted[one])
        wanted[role] -= 1
        cases.append(Chosen(source, (role,)))
    used = {case.source.name for case in cases}
    rest = [source for source in fits if source.name not in used]
    return cases + [Chosen(source, tuple(source.images)) for source in rest[: count - len(cases)]]


class _Writer:
    """Images and truths of one study; no token and no image occurs twice."""

    def __init__(self, folder: Path, copy: bool, any_grid: bool) -> None:
        self.folder, self.copy, self.any_grid = folder, copy, any_grid
        self.tokens: set[str] = set()
        self.seen: dict[str, str] = {}

    def case(self, chosen: Chosen, plan: PartPlan) -> tuple[Case, CaseTruth]:
        source = chosen.source
        volumes = {role: read_volume(source.images[role]) for role in chosen.roles}
        if len(volumes) == 2 and not self.any_grid:
            _require_alike(source, *volumes.values())
        pairs = []
        for role in sorted(volumes, key=lambda _: secrets.token_bytes(8)):
            self._require_new(volumes[role], f"{role} of {source.name}")
            pairs.append((self._image(source.images[role], volumes[role]), role))
        images = {image.token: role for image, role in pairs}
        case = Case(self._token(), tuple(sorted((image for image, _ in pairs), key=lambda image: image.token)))
        return case, CaseTruth(case.token, source.name, images, _landmarks(source, plan))

    def _token(self) -> str:
        while True:
            token = secrets.token_hex(4)
            if token not in self.tokens:
                self.tokens.add(token)
                return token

    def _image(self, path: Path, volume: Volume) -> Image:
        token = self._token()
        if self.copy:
            file = self.folder / "images" / f"{token}.nii"
            write_volume(volume, file)
            return Image(token, f"images/{file.name}", file_sha256(file))
        if path.is_dir():
            raise StudyError("Found a DICOM folder among images left in place, expected files. Let them be copied.")
        return Image(token, path.absolute().as_posix(), file_sha256(path))

    def _require_new(self, volume: Volume, name: str) -> None:
        digest = hashlib.sha256(volume.data.numpy().tobytes()).hexdigest()
        if digest in self.seen:
            raise StudyError(
                f"Found the same image twice, as {self.seen[digest]} and as {name}, expected each once: a reader would "
                "recognise it. Remove one."
            )
        self.seen[digest] = name


def _require_alike(source: Source, first: Volume, second: Volume) -> None:
    if not first.grid.same_as(second.grid):
        raise StudyError(
            f"Found images of {first.grid.shape} and {second.grid.shape} voxels on different grids in the case "
            f"{source.name}, expected one grid: size and place would tell which is which. Resample one onto the other "
            "(synthreg transform apply), or pass --any-grid to allow it."
        )


def _landmarks(source: Source, plan: PartPlan) -> dict[str, tuple[float, float, float]]:
    """The expert's places of the points that are asked for."""
    points = {point for question in plan.questions if question.kind == LANDMARKS for point in question.points}
    if source.landmarks is None or not points:
        return {}
    given = read_landmarks(source.landmarks)
    found = {label: tuple(place) for label, place in zip(given.labels, given.points_mm.tolist()) if label in points}
    missing = sorted(points - set(found))
    if missing:
        raise StudyError(
            f"Found no point {', '.join(missing)} in the landmarks of the case {source.name}, expected the points that "
            "are asked for, under the same names. Add or rename them."
        )
    return found


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
