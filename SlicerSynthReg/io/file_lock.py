"""Advisory locks on files, held by one process at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class FileLock:
    """Advisory lock on the (empty) file `path`, which remains. The system releases it when the process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1

    def acquire(self) -> bool:
        """Return False if another process holds the lock; True also on file systems without locks (network drives)."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._file)
        except BlockingIOError:
            self.release()
            return False
        except OSError:
            return True
        return True

    def release(self) -> None:
        """Release the lock by closing the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
