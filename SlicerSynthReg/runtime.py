"""The machine that computes: device, threads, memory, version. Imports torch only where a device is chosen."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import psutil

from SlicerSynthReg.errors import RequestError, Suggestion

if TYPE_CHECKING:
    import torch


def require_device(name: str) -> None:
    """Raise RequestError if `name` is "cuda" and PyTorch can use no such device; "auto" and "cpu" always pass."""
    if name != "cuda":
        return
    import torch

    if torch.cuda.is_available():
        return
    found = "no CUDA graphics card" if torch.version.cuda else "a PyTorch that was built without CUDA"
    remedy = "Install the card's driver" if torch.version.cuda else "Install a PyTorch with CUDA (see pytorch.org)"
    raise RequestError(
        f"Found {found} on this machine, expected a card that PyTorch can use for device cuda. {remedy}.",
        Suggestion("device", "auto", "use a CUDA graphics card if available, else the CPU"),
        code="device-unavailable",
    )


def select_device(name: str, threads: int | None = None) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda", and set the number of CPU threads if given.

    Raises RequestError as `require_device`.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    require_device(name)
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far in MB; on Windows the present one."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().rss / 1e6
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used / 1e3


def synthreg_version() -> str:
    """Return the version of the installed package, or "from source"."""
    try:
        return version("slicersynthreg")
    except PackageNotFoundError:
        return "from source"
