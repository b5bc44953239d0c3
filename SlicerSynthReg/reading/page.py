"""The statistics of a study on one page, for whoever writes the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from SlicerSynthReg.evaluate.readers.agreement import Agreement
from SlicerSynthReg.evaluate.readers.proportion import Proportion
from SlicerSynthReg.reading.plots import accuracy_plot, grades_plot, roc_plot, times_plot
from SlicerSynthReg.reading.question import LANDMARKS, LIKERT, PAIR, TEXT
from SlicerSynthReg.reading.statistics import QuestionStatistics, ReaderScore, StudyStatistics
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import document, embedded_image, table

METHODS = (
    "Accuracy: exact interval (Clopper and Pearson 1934) and exact two-sided binomial test against guessing.",
    "All readers: their answers to one case are not independent; interval of Korn and Graubard (1998), cases as "
    "clusters.",
    "d′: difference of the normal quantiles of hit and false alarm rates, divided by √2 for pairs; log-linear "
    "correction (Hautus 1995) always applied; interval by Gourevitch and Galanter (1967). c: preference, positive "
    "towards “real” (pairs: towards the right side).",
    "Area under the ROC curve: the chance that a generated image is graded above a real one; DeLong (1988), interval "
    "on the logit scale; where the grades part both kinds perfectly, by the variance of Hanley and McNeil (1982).",
    "Agreement: Cohen’s kappa (quadratic weights for grades; Fleiss, Cohen and Everitt 1969), Fleiss’ kappa and Gwet’s "
    "AC1 (Gwet 2008), both with grades as categories without order. For pairs, agreement in being right. No "
    "interval is given where the standard error is 0, such as where all agree.",
    "Cases shown twice count once, with the first answer; showings whose time ran out without an answer count as "
    "missing. Several tests are made; p-values are not corrected for that.",
)


def study_page(statistics: StudyStatistics) -> str:
    """Self-contained HTML; readers are named, cases are not."""
    parts = [f"<h1>{escape(statistics.title)}</h1>"]
    if statistics.unfinished:
        names = escape(", ".join(statistics.unfinished))
        parts.append(f"<p><b>Unblinded before the end:</b> {names} had not finished. Preliminary numbers.</p>")
    plot = accuracy_plot(statistics.questions)
    if plot is not None:
        parts += ["<h2>Right answers</h2>", _image(plot, "Share of right answers, by reader")]
    for one in statistics.questions:
        parts.append(f"<h2>{escape(one.part)}: {escape(one.question.text)}</h2>")
        parts += _question(one)
    parts += ["<h2>Time</h2>", *_times(statistics)]
    if any(statistics.corrections.values()):
        listed = ", ".join(f"{escape(reader)} {count}" for reader, count in statistics.corrections.items() if count)
        parts.append(f"<p>Answers that were corrected by their reader, and count as corrected: {listed}.</p>")
    parts += ["<h2>Methods</h2>", "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in METHODS) + "</ul>"]
    return document(f"Reading study: {statistics.title}", "\n".join(parts))


def verdict(found: Proportion, alpha: float = 0.05) -> str:
    """One sentence on one reader's accuracy, in plain words."""
    if found.p_value <= alpha and found.estimate > found.chance:
        return "Told real from generated more often than by guessing."
    if found.p_value <= alpha:
        return "Took one for the other more often than by guessing."
    return (
        f"Not told from guessing by this many cases; anything from {found.lower:.0%} to {found.upper:.0%} is plausible."
    )


def accuracy_table(rows: Sequence[tuple[str, Proportion]]) -> str:
    """HTML: name, counts, share with interval, p, and what it means."""
    cells = []
    for name, a in rows:
        share = _share(a.estimate, a.lower, a.upper)
        cells.append((escape(name), f"{a.successes} of {a.count}", share, p_text(a.p_value), verdict(a)))
    return table(("", "Right", "Share (95 % interval)", "p against guessing", "Meaning"), cells)


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _question(one: QuestionStatistics) -> list[str]:
    kind = one.question.kind
    if kind == TEXT:
        rows = [(escape(reader), escape(case), escape(text)) for reader, case, text in one.remarks]
        return [table(("Reader", "Case", "Remark"), rows) if rows else "<p>No remarks.</p>"]
    if kind == LANDMARKS:
        return [_distances(one)]
    parts = []
    if one.question.choices:
        parts.append(accuracy_table([(score.reader, score.accuracy) for score in one.readers if score.accuracy]))
        if one.together:
            a = one.together
            parts.append(
                f"<p>All readers together: {a.successes} of {a.count} answers on {a.cases} cases, "
                f"{_share(a.estimate, a.lower, a.upper)}; worth {a.effective_count:.0f} independent answers.</p>"
            )
        parts.append(_detection(one.readers))
    if kind == LIKERT:
        plot = grades_plot(one)
        parts.append(_image(plot, "Grades by reader and kind of image") if plot else "<p>No grades.</p>")
    curve = roc_plot(one)
    if curve is not None and (kind == LIKERT or one.question.confidence):
        parts += [_image(curve, "ROC curves of the readers", 520)]
    parts += _agreement(one)
    return parts


def _detection(readers: Sequence[ReaderScore]) -> str:
    rows = []
    for score in readers:
        d = score.sensitivity
        r = score.roc
        rows.append(
            (
                escape(score.reader),
                f"{_signed(d.d_prime)} ({_signed(d.lower)} to {_signed(d.upper)})" if d else "–",
                _signed(d.bias) if d else "–",
                f"{r.auc:.2f} ({r.lower:.2f} to {r.upper:.2f})" if r else "–",
                str(score.missing),
            )
        )
    return table(("Reader", "d′ (95 % interval)", "Preference c", "Area under ROC (95 % interval)", "Missing"), rows)


def _agreement(one: QuestionStatistics) -> list[str]:
    rows = [_agreement_row(found.name, found) for found in one.agreement]
    for score in one.readers:
        if score.repeats:
            same, kappa = score.repeats.same, score.repeats.kappa
            told = f"{same.successes} of {same.count} the same, {_share(same.estimate, same.lower, same.upper)}"
            kappa_text = _number(kappa.estimate) if kappa else "–"
            rows.append((f"{escape(score.reader)}, cases shown twice", kappa_text, told))
    if not rows:
        return []
    note = " (in being right)" if one.question.kind == PAIR else ""
    return [table((f"Agreement{note}", "Coefficient (95 % interval)", "Observed"), rows)]


def _agreement_row(name: str, found: Agreement) -> tuple[str, str, str]:
    interval = "" if math.isnan(found.lower) else f" ({_number(found.lower)} to {_number(found.upper)})"
    observed = f"{found.observed:.0%} agreement, {found.by_chance:.0%} by chance, {found.cases} cases"
    return escape(name), _number(found.estimate) + interval, observed


def _distances(one: QuestionStatistics) -> str:
    readers = [score.reader for score in one.readers]
    rows = []
    for point in one.distances:
        to_expert = [_mm(point.to_expert_mm.get(reader, math.nan)) for reader in readers]
        placed = f"{point.placed} of {point.placed + point.not_placed}"
        rows.append((escape(point.point), placed, *to_expert, _mm(point.between_readers_mm)))
    return table(("Point", "Placed", *(f"{reader} to expert" for reader in readers), "Between readers"), rows)


def _times(statistics: StudyStatistics) -> list[str]:
    plot = times_plot(statistics)
    rows = [
        (
            escape(one.reader),
            escape(one.part),
            str(one.count),
            f"{one.median_s:.1f} s ({one.lower_quartile_s:.1f} to {one.upper_quartile_s:.1f})",
            f"{one.total_s / 60:.1f} min",
            str(one.timed_out),
        )
        for one in statistics.times
    ]
    header = ("Reader", "Part", "Showings", "Median a case (quartiles)", "In all", "Time ran out")
    return [table(header, rows), *([_image(plot, "Seconds a case")] if plot else [])]


def _image(figure: Figure, description: str, width: int = 760) -> str:
    image = embedded_image(png_bytes(figure), description)
    return f'<div style="max-width: {width}px">{image}</div>'


def _share(estimate: float, lower: float, upper: float) -> str:
    return f"{estimate:.0%} ({lower:.0%} to {upper:.0%})"


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _mm(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f} mm"
