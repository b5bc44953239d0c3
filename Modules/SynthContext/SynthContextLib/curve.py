"""The course of a training as a small picture: the loss falls, the score of what was left out rises."""

from __future__ import annotations

import math

import qt
from slicer.i18n import tr as _

from SynthContextLib.tuning import Course

_MARGIN, _LEGEND = 8, 20
_LOSS, _SCORE, _FRAME, _PAPER = "#2f6fb0", "#c26a1b", "#9a9a9a", "#ffffff"
_POINTS = 400


def curve(course: Course, width: int, height: int) -> qt.QPixmap:
    """width, height: of the picture in pixels. The loss on its own logarithmic scale, the score from 0 to 1."""
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
        (course.scores, _SCORE, _("Dice of what was left out (0 to 1)"), left + 60),
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
    """From 0, the least, to 1, the largest."""
    logs = [(step, math.log(loss)) for step, loss in losses if math.isfinite(loss) and loss > 0]
    low, high = min((value for _step, value in logs), default=0.0), max((value for _step, value in logs), default=1.0)
    return [(step, (value - low) / (high - low or 1.0)) for step, value in logs]


def _thinned(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """No more than _POINTS, the last always: means of neighbours."""
    count = max(1, math.ceil(len(values) / _POINTS))
    groups = [values[n : n + count] for n in range(0, len(values), count)]
    return [(group[-1][0], sum(value for _step, value in group) / len(group)) for group in groups]
