"""Plots of a study's statistics (matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.metrics.readers.proportion import CHANCE
from SlicerSynthReg.reader_study.statistics import QuestionStatistics, StudyStatistics

COLOURS = ("#1f6fb2", "#c25a00", "#2f8f4e", "#8a4fae", "#b02a4c", "#5b6770")
ROLE_SHADES = ("#b02a4c", "#e08a76", "#f0d9a8", "#a9cf9c", "#2f8f4e")
MAX_LABEL_LENGTH = 26


def accuracy_plot(questions: Sequence[QuestionStatistics]) -> Figure | None:
    """Return a plot of accuracies with exact intervals and the chance level; None without such questions."""
    rows = []
    for entry in questions:
        for number, score in enumerate(entry.readers):
            if score.accuracy:
                a = score.accuracy
                rows.append((entry.part, score.reader, a.estimate, a.lower, a.upper, COLOURS[number % 6]))
        if entry.pooled:
            b = entry.pooled
            rows.append((entry.part, "all readers, pooled", b.estimate, b.lower, b.upper, "#1d2329"))
    if not rows:
        return None
    figure, axes = _figure(7.4, 1.3 + 0.42 * len(rows))
    for y, (_, _, estimate, lower, upper, colour) in enumerate(rows):
        axes.plot([lower, upper], [y, y], color=colour, linewidth=2)
        axes.plot([estimate], [y], "o", color=colour, markersize=7)
        axes.annotate(f"{estimate:.0%}", (estimate, y), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    axes.axvline(CHANCE, color="#57626d", linestyle="--", linewidth=1)
    axes.annotate("chance", (CHANCE, 1), (4, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                  va="top", fontsize=9, color="#57626d")  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{part} · {_short(reader)}" for part, reader, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.9)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("proportion of correct answers, 95 % interval")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return figure


def roc_plot(entry: QuestionStatistics) -> Figure | None:
    """Return ROC curves of the readers; None without graded answers with a reference."""
    scores = [(number, score) for number, score in enumerate(entry.readers) if score.roc]
    if not scores:
        return None
    figure, axes = _figure(5.2, 5.0)
    axes.plot([0, 1], [0, 1], color="#57626d", linestyle="--", linewidth=1)
    for number, score in scores:
        curve = score.roc
        assert curve is not None
        label = f"{_short(score.reader)}: {curve.auc:.2f} ({curve.lower:.2f} to {curve.upper:.2f})"
        axes.plot(curve.false_alarm_rates, curve.hit_rates, "o-", color=COLOURS[number % 6], markersize=4, label=label)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("false alarm rate")
    axes.set_ylabel("hit rate")
    axes.legend(loc="lower right", fontsize=9, title="area (95 % interval)", title_fontsize=9)
    return figure


def grades_plot(entry: QuestionStatistics) -> Figure | None:
    """Return stacked bars of Likert grades per reader and role."""
    bars = [(score, role, counts) for score in entry.readers for role, counts in (score.grades or {}).items()]
    if not bars:
        return None
    levels = entry.question.levels
    figure, axes = _figure(7.4, 1.5 + 0.42 * len(bars))
    for y, (_, _, counts) in enumerate(bars):
        left = 0.0
        for grade, count in enumerate(counts):
            share = count / max(1, sum(counts))
            colour = _shade(grade, len(levels))
            axes.barh(y, share, left=left, color=colour, label=levels[grade] if y == 0 else None, height=0.7)
            if share > 0.06:
                axes.text(left + share / 2, y, str(count), ha="center", va="center", fontsize=9)
            left += share
    axes.set_yticks(range(len(bars)), [f"{_short(score.reader)} · {role}" for score, role, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(5, len(levels)), fontsize=9, frameon=False)
    return figure


def times_plot(statistics: StudyStatistics) -> Figure | None:
    """Return reading times: one dot per presentation, the median as a line."""
    if not statistics.times:
        return None
    readers = list(dict.fromkeys(timing.reader for timing in statistics.times))
    figure, axes = _figure(7.4, 1.2 + 0.45 * len(statistics.times))
    for y, timing in enumerate(statistics.times):
        jitter = 0.22 * np.sin(2.4 * np.arange(timing.count))
        axes.plot(
            timing.seconds,
            y + jitter,
            "o",
            color=COLOURS[readers.index(timing.reader) % 6],
            markersize=4,
            alpha=0.5,
        )
        axes.plot([timing.median_s] * 2, [y - 0.36, y + 0.36], color="#1d2329", linewidth=2)
    axes.set_yticks(
        range(len(statistics.times)),
        [f"{timing.part} · {_short(timing.reader)}" for timing in statistics.times],
    )
    axes.set_ylim(len(statistics.times) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds per case (line: median)")
    return figure


def power_plot(counts: Sequence[int], powers: Sequence[float], wanted: float, chosen: int) -> Figure:
    """Return a plot of exact power against the number of cases, with the chosen number."""
    figure, axes = _figure(6.4, 3.4)
    axes.plot(counts, powers, color=COLOURS[0], linewidth=1.4)
    axes.axhline(wanted, color="#57626d", linestyle="--", linewidth=1)
    axes.axvline(chosen, color=COLOURS[1], linewidth=1.4)
    axes.annotate(f"{chosen} cases", (chosen, 0.03), (5, 0), xycoords=("data", "axes fraction"),
                  textcoords="offset points", color=COLOURS[1])  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("cases")
    axes.set_ylabel("power")
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    return figure, axes


def _shade(grade: int, levels: int) -> str:
    return ROLE_SHADES[round(grade * (len(ROLE_SHADES) - 1) / max(1, levels - 1))]


def _short(name: str) -> str:
    return name if len(name) <= MAX_LABEL_LENGTH else f"{name[: MAX_LABEL_LENGTH - 1]}…"
