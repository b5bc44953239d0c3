"""Where a task computes. Imports torch only when a graphics card is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from SlicerSynthReg.request import RequestError, Suggestion
from SlicerSynthReg.tasks.parameters import ComputeParameters

if TYPE_CHECKING:
    import torch


def require_device(name: str) -> None:
    """RequestError where "cuda" was asked for and PyTorch can use no such card; "auto" and "cpu" always pass."""
    if name != "cuda":
        return
    import torch

    if torch.cuda.is_available():
        return
    found = "no CUDA graphics card" if torch.version.cuda else "a PyTorch that was built without CUDA"
    remedy = "Install the card's driver" if torch.version.cuda else "Install a PyTorch with CUDA (see pytorch.org)"
    raise RequestError(
        f"Found {found} on this machine, expected a card that PyTorch can use for device cuda. {remedy}.",
        suggestion=Suggestion("device", "auto", "take a card where there is one, else the processor"),
    )


def chosen_device(name: str) -> torch.device:
    """The device for "auto", "cpu" or "cuda" on this machine. Errors: as require_device."""
    import torch

    require_device(name)
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def set_up(parameters: ComputeParameters) -> torch.device:
    """The device that was asked for, and from here on as many threads. Errors: as require_device."""
    import torch

    if parameters.threads:
        torch.set_num_threads(parameters.threads)
    return chosen_device(parameters.device)
