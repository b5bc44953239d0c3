"""Draws the icons: `python Resources/Icons/draw_icons.py` (needs matplotlib).

SynthReg and SynthRegister: two outlines of a head, one out of place, and between them the checkerboard by which an
alignment is judged. SynthReview: one head, half of it in either colour, with the line that is moved between them.
SynthHealthy: a head with a lesion on one side, and on the other the place that it would have in health.
SynthContrast: a slice of the abdomen, its vessels without contrast on one side and with it on the other.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle

ROOT = Path(__file__).resolve().parents[2]
FIXED, MOVING, INK = "#2b6ca3", "#f2a13b", "#1d2b38"


def canvas() -> tuple[Figure, Axes]:
    """128 x 128, transparent."""
    figure = plt.figure(figsize=(1.28, 1.28), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, 128)
    axes.set_ylim(0, 128)
    axes.axis("off")
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, transparent=True)
    plt.close(figure)


def draw(path: Path) -> None:
    figure, axes = canvas()
    axes.add_patch(Ellipse((70, 66), 84, 104, angle=-16, fill=False, lw=3.2, ec=MOVING, ls=(0, (2.2, 1.2))))
    head = Ellipse((60, 64), 84, 104, fill=False, lw=0)
    axes.add_patch(head)
    for column in range(4):
        for row in range(4):
            colour = FIXED if (column + row) % 2 else MOVING
            square = Rectangle((18 + 21 * column, 12 + 26 * row), 21, 26, fc=colour, lw=0)
            axes.add_patch(square)
            square.set_clip_path(head)
    axes.add_patch(Ellipse((60, 64), 84, 104, fill=False, lw=4.2, ec=INK))
    save(figure, path)


def draw_review(path: Path) -> None:
    figure, axes = canvas()
    head = Ellipse((64, 64), 84, 104, fill=False, lw=0)
    axes.add_patch(head)
    for left, colour in ((18, FIXED), (64, MOVING)):
        half = Rectangle((left, 8), 46, 112, fc=colour, lw=0)
        axes.add_patch(half)
        half.set_clip_path(head)
    axes.add_patch(Ellipse((64, 64), 84, 104, fill=False, lw=4.2, ec=INK))
    axes.plot([64, 64], [4, 124], lw=3.2, color=INK)
    axes.add_patch(Ellipse((64, 64), 18, 18, fc="white", lw=3.2, ec=INK, zorder=3))
    save(figure, path)


def draw_healthy(path: Path) -> None:
    figure, axes = canvas()
    head = Ellipse((64, 64), 84, 104, fc=FIXED, lw=0)
    axes.add_patch(head)
    axes.add_patch(Ellipse((46, 74), 30, 36, angle=20, fc=MOVING, ec=INK, lw=3.2))
    axes.add_patch(Ellipse((82, 74), 30, 36, angle=-20, fill=False, ec="white", lw=3.2, ls=(0, (2.2, 1.2))))
    axes.plot([64, 64], [14, 114], lw=3.2, color=INK)
    axes.add_patch(Ellipse((64, 64), 84, 104, fill=False, lw=4.2, ec=INK))
    save(figure, path)


def draw_contrast(path: Path) -> None:
    figure, axes = canvas()
    body = Ellipse((64, 64), 116, 84, fc="white", lw=0)
    axes.add_patch(body)
    right = Rectangle((64, 18), 60, 92, fc=FIXED, lw=0)
    axes.add_patch(right)
    right.set_clip_path(body)
    for x, y, size, colour in ((36, 66, 30, "#cfd8df"), (92, 66, 30, MOVING), (64, 56, 24, "#cfd8df")):
        axes.add_patch(Ellipse((x, y), size, size, fc=colour, ec=INK, lw=3.2))
    bright = Rectangle((64, 44), 12, 24, fc=MOVING, lw=0, zorder=3)
    axes.add_patch(bright)
    bright.set_clip_path(Ellipse((64, 56), 22, 22, transform=axes.transData))
    axes.plot([64, 64], [22, 106], lw=3.2, color=INK, zorder=4)
    axes.add_patch(Ellipse((64, 64), 116, 84, fill=False, lw=4.2, ec=INK, zorder=5))
    save(figure, path)


if __name__ == "__main__":
    draw(ROOT / "Resources" / "Icons" / "SynthReg.png")
    draw(ROOT / "Modules" / "SynthRegister" / "Resources" / "Icons" / "SynthRegister.png")
    draw_review(ROOT / "Modules" / "SynthReview" / "Resources" / "Icons" / "SynthReview.png")
    draw_healthy(ROOT / "Modules" / "SynthHealthy" / "Resources" / "Icons" / "SynthHealthy.png")
    draw_contrast(ROOT / "Modules" / "SynthContrast" / "Resources" / "Icons" / "SynthContrast.png")
