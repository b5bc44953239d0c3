"""What can be chosen for a sequence of frames. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.tasks.parameters import MethodParameters, parameter

FIRST, MIDDLE, MEAN = "first", "middle", "mean"


@dataclass(frozen=True)
class SequenceParameters(MethodParameters):
    """How every frame is registered, and to what."""

    reference: str | None = parameter(
        str,
        None,
        "What the frames are registered to: first, middle, mean (of all frames), or a frame's number, 0 being the "
        "first; default: the fixed image where one is given, else middle.",
    )


def reference_frame(reference: str | None, count: int) -> int | None:
    """The number of the frame that the others of `count` are registered to; None for their mean. Raises RequestError
    for anything but first, middle, mean or the number of a frame."""
    if reference == MEAN:
        return None
    named = {FIRST: 0, MIDDLE: count // 2, None: count // 2}
    if reference in named:
        return named[reference]
    text = str(reference).strip()
    if text.isascii() and text.isdigit() and int(text) < count:
        return int(text)
    raise RequestError(
        f"Found the reference {reference!r}, expected first, middle, mean or a frame's number from 0 to {count - 1}. "
        "Choose one of them."
    )
