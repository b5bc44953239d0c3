"""Studies to be read in the panel, their files full of a patient's name, and a reader who clicks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np

from SlicerSynthReg.reader_study.blinding_key import BlindingKey, CaseTruth
from SlicerSynthReg.reader_study.ct_windows import DisplayWindow
from SlicerSynthReg.reader_study.question import GENERATED, LANDMARKS, LIKERT, PAIR, REAL, SINGLE, TEXT, ReadingQuestion
from SlicerSynthReg.reader_study.schedule import ReadingItem
from SlicerSynthReg.reader_study.session import RESPONSE_FOLDER
from SlicerSynthReg.reader_study.study import Study, StudyCase, StudyImage, StudyPart, read_study

PATIENT = "DOE-JOHN"
WHICH = ReadingQuestion("which", PAIR, "Which one is generated?")
WHAT = ReadingQuestion("what", SINGLE, "Real or generated?", confidence=3)
QUALITY = ReadingQuestion("quality", LIKERT, "How good is the image?", levels=("poor", "fair", "good"))
REMARKS = ReadingQuestion("remarks", TEXT, "Anything else?", required=False)
PLACES = ReadingQuestion("places", LANDMARKS, "Where are these?", points=("apex", "base"))
GREY = {REAL: 100, GENERATED: 300}
"""Value of the images, so that a test sees in a view what is what."""


def write_study(folder: Path, pairs: int = 0, singles: int = 0, questions=(WHAT,), limit: float | None = None) -> Study:
    """Images of 16 x 16 x 12 voxels, whose files and headers name the patient and the truth."""
    (folder / "images").mkdir(parents=True)
    truths = []

    def image(name: str, role: str) -> StudyImage:
        token = hashlib.sha256(f"{name} {role}".encode()).hexdigest()[:8]
        file = f"images/{PATIENT}_{name}_{role}.nii"
        made = nibabel.Nifti1Image(np.full((16, 16, 12), GREY[role], np.int16), np.diag([4.0, 4.0, 5.0, 1.0]))
        made.header["descrip"] = f"{PATIENT} {role}".encode()
        nibabel.save(made, folder / file)
        return StudyImage(token, file, hashlib.sha256((folder / file).read_bytes()).hexdigest())

    def case(name: str, roles: tuple[str, ...]) -> StudyCase:
        images = {role: image(name, role) for role in roles}
        token = hashlib.sha256(name.encode()).hexdigest()[:8]
        truths.append(CaseTruth(token, f"{PATIENT} {name}", {images[role].token: role for role in roles}))
        return StudyCase(token, tuple(sorted(images.values(), key=lambda one: one.token)))

    parts = []
    if pairs:
        cases = tuple(case(f"p{n}", (REAL, GENERATED)) for n in range(pairs))
        parts.append(StudyPart("pairs", (WHICH,), cases, 0, limit))
    if singles:
        cases = tuple(case(f"s{n}", ((REAL, GENERATED)[n % 2],)) for n in range(singles))
        parts.append(StudyPart("singles", tuple(questions), cases, 0, limit))
    key = json.dumps(BlindingKey("Liver study", "salt", tuple(truths)).to_json()).encode()
    (folder / "key.json").write_bytes(key)
    fingerprint = hashlib.sha256(key).hexdigest()
    window = DisplayWindow(400, 200)
    study = Study("Liver study", 1, fingerprint, tuple(parts), window=window, instructions="Take your time.")
    (folder / "study.json").write_text(json.dumps(study.to_json()))
    return read_study(folder)


def truth_of(study: Study, item: ReadingItem) -> list[str]:
    """What each shown image is, from left to right: read from the key, as no panel may."""
    key = json.loads((study.folder / "key.json").read_text())
    roles = next(case["images"] for case in key["cases"] if case["token"] == item.case.token)
    return [roles[image.token] for image in item.images]


def is_right(reader: str, item: ReadingItem) -> bool:
    """Three of four, the same for the same reader and case."""
    return hashlib.sha256(f"{reader} {item.case.token}".encode()).digest()[0] % 4 > 0


def begin(panel, study: Study, reader: str) -> None:
    panel.expand("readingCollapsibleButton")
    panel["studyPath"].currentPath = str(study.folder / "study.json")
    panel["readerEdit"].text = reader
    panel.click("startButton")


def answer(panel, study: Study, reader: str, item: ReadingItem) -> None:
    """Clicks an answer to the first question of a pair or single, right or wrong as `is_right` says, and saves it."""
    truth, right = truth_of(study, item), is_right(reader, item)
    if len(truth) == 2:
        generated = truth.index(GENERATED)
        panel.click("which_" + ("left", "right")[generated if right else 1 - generated])
    else:
        panel.click("what_" + (truth[0] if right else {REAL: GENERATED, GENERATED: REAL}[truth[0]]))
        panel.choose("what_confidence", "2")
    panel.click("nextCaseButton")


def logged(study: Study, kind: str = "answer") -> list[dict]:
    """Entries of one kind, of all readers."""
    lines = [line for log in (study.folder / RESPONSE_FOLDER).glob("*.jsonl") for line in log.read_text().splitlines()]
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]
