"""The files on which an image path depends: detached voxel data, pairs of files, folders. Imports no torch.

MetaImage (.mhd, .mha): `ElementDataFile` names one file, `LIST` with one file a line, or a pattern with a range of
numbers. NRRD (.nhdr, .nrrd): `data file` likewise. Analyze and NIfTI pairs: .hdr and .img.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from SlicerSynthReg.errors import ImageError, MissingFileError

_HEADER_BYTES = 1 << 20
_MAX_FILES = 100_000
_PAIRS = {".hdr": ".img", ".img": ".hdr"}
_NRRD_DATA = re.compile(r"(?im)^data ?file *: *(.*)$")
_META_DATA = re.compile(r"(?im)^ElementDataFile *= *(.*)$")
_PATTERN = re.compile(r"%0?\d*d")


def dependencies(path: Path) -> list[Path]:
    """Return the regular files on which the content of `path` depends, `path` itself first; a folder's, by name.

    Raises MissingFileError (path-missing, data-file-missing) and ImageError (input-kind for devices, pipes and sockets;
    data-file for a header that names its data in a form that cannot be read).
    """
    if _is_folder(path):
        files = sorted(Path(here) / name for here, _, names in os.walk(path) for name in names)
        return [file for file in files if file.is_file()]
    suffix = path.suffix.lower()
    if suffix in _PAIRS:
        return [path, *_other_of_pair(path)]
    if suffix in (".mhd", ".mha"):
        named = _data_files(_header(path), _META_DATA, path)
    elif suffix in (".nhdr", ".nrrd"):
        named = _data_files(_header(path).split("\n\n", 1)[0], _NRRD_DATA, path)
    else:
        return [path]
    found = [path.parent / name for name in named]
    for file in found:
        if not file.exists():
            raise MissingFileError(
                f"Found that its data file {file.name} is missing, expected it where the header names it. Copy both "
                "files together.",
                path=path,
                code="data-file-missing",
            )
        _is_folder(file)
    return [path, *found]


def _is_folder(path: Path) -> bool:
    """Return whether `path` is a folder and not a regular file. Raises for anything else."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(
            "Found nothing at that path, expected a file or a folder. Check the path.", path=path
        ) from error
    if stat.S_ISDIR(mode):
        return True
    if not stat.S_ISREG(mode):
        raise ImageError(
            "Found a device, pipe or socket, expected a regular file or a folder. Save the data as a file.",
            path=path,
            code="input-kind",
        )
    return False


def _header(path: Path) -> str:
    with open(path, "rb") as stream:
        return stream.read(_HEADER_BYTES).decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def _other_of_pair(path: Path) -> list[Path]:
    other = _PAIRS[path.suffix.lower()]
    names = (path.with_suffix(other), path.with_suffix(other.upper()), path.with_suffix(f"{other}.gz"))
    return [name for name in names if name.is_file()][:1]


def _data_files(header: str, field: re.Pattern[str], path: Path) -> list[str]:
    """Return the names of the data files that a header gives; none if the data follow it."""
    found = field.search(header)
    value = found.group(1).strip() if found else ""
    if found is None or (field is _META_DATA and value.upper() == "LOCAL"):
        return []
    words = value.split()
    if words and words[0].upper() == "LIST":
        return _lines(header[found.end() :])
    return _numbered(words, path) if len(words) > 1 and _PATTERN.search(words[0]) else [value]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()][:_MAX_FILES]


def _numbered(words: list[str], path: Path) -> list[str]:
    """Return the names of "slice%03d.raw FIRST LAST [STEP]"."""
    try:
        first, last, step = (int(word) for word in [*words[1:4], "1"][:3])
        numbers = range(first, last + (1 if step > 0 else -1), step)
        if len(numbers) > _MAX_FILES:
            raise ValueError
        return [words[0] % number for number in numbers]
    except (ValueError, TypeError) as error:
        raise ImageError(
            f"Found the data files {' '.join(words)[:80]!r}, expected a pattern such as slice%03d.raw with first and "
            "last number. Correct the header.",
            path=path,
            code="data-file",
        ) from error
