"""Suffixes of image files, and atomic writes. Imports no torch."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


def image_suffix(name: str) -> str | None:
    """Return the suffix of an image file name (one of SUFFIXES, in the case of `name`), or None."""
    found = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    return None if found is None else name[len(name) - len(found) :]


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly in `folder`, sorted by name, without hidden ones."""
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in files if image_suffix(path.name) is not None)


def image_stem(path: Path) -> str:
    """Return the file name without the suffix of an image."""
    return path.name[: len(path.name) - len(image_suffix(path.name) or "")]


@contextmanager
def atomic_write(path: Path, suffix: str, expected_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary path (ending in `suffix`) in the same folder; it is renamed to `path` if no error occurs.

    On any failure, including interruption, the temporary file is removed and an older `path` is unchanged.
    expected_bytes: space to reserve first, since some libraries do not survive a full disk (HDF5 ends the process at
    exit). Raises OSError for failures of the disk or the writing library.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.partial{suffix}")
    try:
        free = shutil.disk_usage(path.parent).free
        if free < expected_bytes:
            needed = f"{expected_bytes / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free"
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {needed}")
        if expected_bytes:
            _reserve(temporary, expected_bytes)
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        code = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
        reason = str(error).replace(str(temporary), path.name).replace(temporary.name, path.name)
        raise OSError(
            code,
            f"Found that {path.name} could not be written ({' '.join(reason.split())[-300:]}), expected a writable "
            "folder with enough space; nothing half-written was left. "
            f"Free space in {path.parent} or choose another folder.",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _reserve(file: Path, size: int) -> None:
    """Raise OSError unless quota, limits and disk allow `file` to grow to `size` bytes; `file` is removed again."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with open(file, "wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)
    finally:
        file.unlink()
