"""Grey windows by name, for CT in Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.reading.question import StudyError


@dataclass(frozen=True)
class Window:
    """width and level as radiologists say them: black at level - width / 2, white at level + width / 2."""

    width: float
    level: float


PRESETS = {
    "abdomen": Window(350, 40),
    "liver": Window(150, 30),
    "mediastinum": Window(350, 50),
    "lung": Window(1400, -500),
    "bone": Window(1000, 400),
    "brain": Window(100, 50),
    "stroke": Window(40, 40),
}


def named_window(text: str) -> Window:
    """A preset's name, or "width,level". StudyError for anything else."""
    if text.strip().lower() in PRESETS:
        return PRESETS[text.strip().lower()]
    try:
        width, level = (float(part) for part in text.split(","))
        if width > 0:
            return Window(width, level)
    except ValueError:
        pass
    raise StudyError(f"Found the window {text!r}, expected one of {', '.join(PRESETS)}, or WIDTH,LEVEL as 350,40.")
