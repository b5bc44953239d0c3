"""Worklists from folders of image files, of DICOM series, or from a BIDS data set: one row per image."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.files import SUFFIXES, image_stem, image_suffix
from SlicerSynthReg.service.worklist import Row, Worklist
from SlicerSynthReg.tasks.registry import TASKS, TaskSpec

_BIDS_FOLDERS = {"anat", "ct"}
_DERIVED_SUFFIXES = ("_mask", "_dseg", "_probseg", "_defacemask", "_label")
_SKIPPED_FOLDERS = {"derivatives", "sourcedata", "code"}


def read_cohort(
    folder: Path,
    task: str,
    pattern: str | None = None,
    exclude: Path | None = None,
    tasks: Mapping[str, TaskSpec] = TASKS,
) -> Worklist:
    """Return a worklist with one row per image below `folder`, for a task with one required input.

    In a BIDS data set (sub-* folders): the images in anat and ct, named as their files, without masks and
    segmentations. Elsewhere: every image file or, if there is none, every folder with DICOM files, named by location.
    pattern: glob of the images to use instead ("**/*_FLAIR.nii.gz"). exclude: a folder to skip, such as that of the
    results. Raises RequestError if there is no image (cohort-empty) or the task needs more than one
    (cohort-needs-worklist).
    """
    needed = [name for name, input_spec in tasks[task].inputs.items() if input_spec.required]
    if len(needed) != 1:
        raise RequestError(
            f"Found a folder for the task {task}, which needs {', '.join(needed)}; expected a worklist that pairs "
            "them. Write one: a CSV with these columns.",
            code="cohort-needs-worklist",
        )
    found = [path for path in _images(folder, pattern) if exclude is None or not _is_within(path, exclude)]
    if not found:
        kind = f"that matches {pattern!r}" if pattern else f"({', '.join(SUFFIXES)} or DICOM)"
        raise RequestError(
            f"Found no image in the folder {folder.name} {kind}, expected at least one. Check the path.",
            code="cohort-empty",
        )
    rows = [Row(name, {needed[0]: str(path.relative_to(folder))}) for name, path in zip(_names(found, folder), found)]
    return Worklist(tuple(rows), folder.absolute(), task)


def _images(folder: Path, pattern: str | None) -> list[Path]:
    if pattern is not None:
        return sorted(path for path in folder.glob(pattern) if path.is_dir() or image_suffix(path.name))
    files, series = [], []
    for here, below, names in os.walk(folder):
        below[:] = sorted(folder for folder in below if not folder.startswith(".") and folder not in _SKIPPED_FOLDERS)
        places = [Path(here) / name for name in sorted(names) if not name.startswith(".")]
        images = [path for path in places if image_suffix(path.name)]
        files += images
        if not images and any(_is_dicom(path) for path in places[:3]):
            series.append(Path(here))
    if any(path.is_dir() for path in folder.glob("sub-*")):
        files = [
            file
            for file in files
            if file.parent.name in _BIDS_FOLDERS and not image_stem(file).endswith(_DERIVED_SUFFIXES)
        ]
    return files or series


def _is_dicom(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _is_within(path: Path, folder: Path) -> bool:
    return folder.absolute() in (path.absolute(), *path.absolute().parents)


def _names(paths: Sequence[Path], folder: Path) -> list[str]:
    """Return the file names if unique, else with their folders prefixed, else numbered as well."""
    own = [_row_name(image_stem(path)) for path in paths]
    if len({name.lower() for name in own}) == len(own):
        return own
    long = [_row_name("_".join((*path.relative_to(folder).parts[:-1], image_stem(path)))) for path in paths]
    counts = Counter(name.lower() for name in long)
    return [name if counts[name.lower()] == 1 else f"{name}-{n:04d}" for n, name in enumerate(long, start=1)]


def _row_name(name: str) -> str:
    """Return `name` with characters that a row name cannot hold replaced by _."""
    kept = re.sub(r"[^\w .+=-]", "_", name)
    return kept if re.match(r"\w", kept) else f"image_{kept}"
