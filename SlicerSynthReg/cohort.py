"""A worklist from a folder: one row an image, in a plain folder of files or of DICOM series, or in a BIDS data set."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.tasks.table import TASKS, TaskSpec
from SlicerSynthReg.volume.suffixes import SUFFIXES, stem_of, suffix_of
from SlicerSynthReg.worklist import Row, Worklist

_BIDS_FOLDERS = {"anat", "ct"}
_NO_SCANS = ("_mask", "_dseg", "_probseg", "_defacemask", "_label")
_ASIDE = {"derivatives", "sourcedata", "code"}


def read_cohort(
    folder: Path,
    task: str,
    pattern: str | None = None,
    without: Path | None = None,
    tasks: Mapping[str, TaskSpec] = TASKS,
) -> Worklist:
    """One row for every image below `folder`, for a task that needs one image.

    Of a BIDS data set (sub-* folders) these are the images in anat and ct, named as their files, masks and
    segmentations left out; elsewhere every image file, or, where there is none, every folder that holds DICOM files,
    named by where they lie. pattern: those that it names instead ("**/*_FLAIR.nii.gz"). without: a folder that is
    passed over, as that of the results. Errors: RequestError where there is no image, or the task needs more than one.
    """
    needed = [name for name, one in tasks[task].inputs.items() if one.required]
    if len(needed) != 1:
        raise RequestError(
            f"Found a folder for the task {task}, which needs {', '.join(needed)}; expected a worklist that says which "
            "belong together. Write one: a CSV with these columns."
        )
    found = [path for path in _images(folder, pattern) if without is None or not _within(path, without)]
    if not found:
        told = f"that {pattern!r} names" if pattern else f"({', '.join(SUFFIXES)} or DICOM)"
        raise RequestError(f"Found no image in the folder {folder.name} {told}, expected at least one. Check the path.")
    rows = [Row(name, {needed[0]: str(path.relative_to(folder))}) for name, path in zip(_names(found, folder), found)]
    return Worklist(tuple(rows), folder.absolute(), task)


def with_settings(worklist: Worklist, settings: Sequence[str], tasks: Mapping[str, TaskSpec] = TASKS) -> Worklist:
    """settings: parameters of every row as name=value; a row's own cell wins. Raises RequestError."""
    known = tasks[worklist.task].parameter_specs()
    given = dict(text.partition("=")[::2] for text in settings)
    strange = [name for name in given if name not in known]
    if strange:
        raise RequestError(
            f"Found the setting {strange[0]!r}, expected name=value with one of {', '.join(known)}. Correct it."
        )
    return replace(worklist, rows=tuple(replace(row, cells={**given, **row.cells}) for row in worklist.rows))


def _images(folder: Path, pattern: str | None) -> list[Path]:
    if pattern is not None:
        return sorted(path for path in folder.glob(pattern) if path.is_dir() or suffix_of(path.name))
    files, series = [], []
    for here, below, names in os.walk(folder):
        below[:] = sorted(one for one in below if not one.startswith(".") and one not in _ASIDE)
        places = [Path(here) / name for name in sorted(names) if not name.startswith(".")]
        images = [path for path in places if suffix_of(path.name)]
        files += images
        if not images and any(_is_dicom(path) for path in places[:3]):
            series.append(Path(here))
    if any(one.is_dir() for one in folder.glob("sub-*")):
        files = [one for one in files if one.parent.name in _BIDS_FOLDERS and not stem_of(one).endswith(_NO_SCANS)]
    return files or series


def _is_dicom(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _within(path: Path, folder: Path) -> bool:
    return folder.absolute() in (path.absolute(), *path.absolute().parents)


def _names(paths: Sequence[Path], folder: Path) -> list[str]:
    """The files' own names where no two are alike, else with the folders before them, else numbered too."""
    own = [_plain(stem_of(path)) for path in paths]
    if len({name.lower() for name in own}) == len(own):
        return own
    long = [_plain("_".join((*path.relative_to(folder).parts[:-1], stem_of(path)))) for path in paths]
    counts = Counter(name.lower() for name in long)
    return [name if counts[name.lower()] == 1 else f"{name}-{n:04d}" for n, name in enumerate(long, start=1)]


def _plain(name: str) -> str:
    """As a worklist's name may be."""
    kept = re.sub(r"[^\w .+=-]", "_", name)
    return kept if re.match(r"\w", kept) else f"image_{kept}"
