"""Whole files or none: written under a temporary name in the same folder, then renamed over the target."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomically(path: Path, suffix: str, expected_bytes: int = 0) -> Iterator[Path]:
    """Yields the temporary path (ending in `suffix`) to write; it becomes `path` when the block ends without error.

    On any failure, interruption included, the temporary file is removed and an older `path` is untouched. Failures of
    the disk or the writing library raise OSError. expected_bytes: room asked for before anything is written, since some
    writing libraries do not survive a disk that fills up under them (HDF5 ends the whole process at exit).
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.partial{suffix}")
    try:
        free = shutil.disk_usage(path.parent).free
        if free < expected_bytes:
            needed = f"{expected_bytes / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free"
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {needed}")
        if expected_bytes:
            _try_room(temporary, expected_bytes)
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


def _try_room(file: Path, size: int) -> None:
    """OSError where quota, limits or the disk do not let `file` grow to `size` bytes; it is gone afterwards."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with open(file, "wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)
    finally:
        file.unlink()
