"""Curve of a training as a picture: loss and validation score."""

from __future__ import annotations

import math

import qt
from slicer.i18n import tr as _

from SynthContextLib.finetuning_job import TrainingProgress

_MARGIN, _LEGEND = 8, 20
_LOSS, _SCORE, _FRAME, _PAPER = "#2f6fb0", "#c26a1b", "#9a9a9a", "#ffffff"
_POINTS = 400


def curve(course: TrainingProgress, width: int, height: int) -> qt.QPixmap:
    """Return the picture, width x height in pixels: the loss on a logarithmic scale, the score from 0 to 1."""
    picture = qt.QPixmap(width, height)
    picture.fill(qt.QColor(_PAPER))
    painter = qt.QPainter(picture)
    painter.setPen(qt.QPen(qt.QColor(_FRAME)))
    left, top = _MARGIN, _LEGEND
    right, bottom = width - _MARGIN, height - _MARGIN
    painter.drawRect(left, top, right - left, bottom - top)
    last = max(course.steps, max((step for step, _value in [*course.losses, *course.scores]), default=1))
    for values, colour, name, place in (
        (_logarithmic(course.losses), _LOSS, _("loss"), left),
        (course.scores, _SCORE, _("validation Dice (0 to 1)"), left + 60),
    ):
        pen = qt.QPen(qt.QColor(colour))
        pen.setWidth(2)
        painter.setPen(pen)
        painter.drawText(place, _LEGEND - 6, name)
        points = [
            (round(left + (right - left) * step / last), round(bottom - (bottom - top) * min(1.0, max(0.0, value))))
            for step, value in _thinned(values)
        ]
        for (x, y), (to_x, to_y) in zip(points, points[1:]):
            painter.drawLine(x, y, to_x, to_y)
        for x, y in points if len(points) < 40 and colour == _SCORE else []:
            painter.drawEllipse(x - 2, y - 2, 4, 4)
    painter.end()
    return picture


def _logarithmic(losses: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Scale logarithmically from 0 (minimum) to 1 (maximum)."""
    logs = [(step, math.log(loss)) for step, loss in losses if math.isfinite(loss) and loss > 0]
    low, high = min((value for _step, value in logs), default=0.0), max((value for _step, value in logs), default=1.0)
    return [(step, (value - low) / (high - low or 1.0)) for step, value in logs]


def _thinned(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most _POINTS means of neighbouring points, including the last."""
    count = max(1, math.ceil(len(values) / _POINTS))
    groups = [values[n : n + count] for n in range(0, len(values), count)]
    return [(group[-1][0], sum(value for _step, value in group) / len(group)) for group in groups]
