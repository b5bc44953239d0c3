"""CT display windows by name, in Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.errors import StudyError


@dataclass(frozen=True)
class DisplayWindow:
    """width, level: black at level - width / 2, white at level + width / 2."""

    width: float
    level: float


CT_WINDOW_PRESETS = {
    "abdomen": DisplayWindow(350, 40),
    "liver": DisplayWindow(150, 30),
    "mediastinum": DisplayWindow(350, 50),
    "lung": DisplayWindow(1400, -500),
    "bone": DisplayWindow(1000, 400),
    "brain": DisplayWindow(100, 50),
    "stroke": DisplayWindow(40, 40),
}


def parse_window(text: str) -> DisplayWindow:
    """Return a preset by name, or a window from "width,level". Raises StudyError ("window-invalid")."""
    if text.strip().lower() in CT_WINDOW_PRESETS:
        return CT_WINDOW_PRESETS[text.strip().lower()]
    try:
        width, level = (float(part) for part in text.split(","))
        if width > 0:
            return DisplayWindow(width, level)
    except ValueError:
        pass
    raise StudyError(
        f"Found the window {text!r}, expected one of {', '.join(CT_WINDOW_PRESETS)}, or WIDTH,LEVEL as 350,40.",
        code="window-invalid",
    )
