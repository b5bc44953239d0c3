"""Figures as PNG, in memory and on disk."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from SlicerSynthReg.volume.atomic import atomically


def png_bytes(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    fast = {"compress_level": 1}
    figure.savefig(buffer, format="png", dpi=figure.dpi, facecolor=figure.get_facecolor(), pil_kwargs=fast)
    return buffer.getvalue()


def write_picture(figure: Figure, path: Path) -> Path:
    """The figure as PNG at `path`, whole or not at all. OSError where it cannot be written."""
    with atomically(Path(path), ".png") as partial:
        partial.write_bytes(png_bytes(figure))
    return Path(path)
