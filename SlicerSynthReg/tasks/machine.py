"""What a report says of the machine and the program."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

import psutil


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far; on Windows, where Python cannot ask for it, the present one."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().rss / 1e6
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used / 1e3


def version_of_synthreg() -> str:
    try:
        return version("slicersynthreg")
    except PackageNotFoundError:
        return "from source"
