"""The statistics of a study as an HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from SlicerSynthReg.metrics.readers.agreement import Agreement
from SlicerSynthReg.metrics.readers.proportion import Proportion
from SlicerSynthReg.reader_study.plots import accuracy_plot, grades_plot, roc_plot, times_plot
from SlicerSynthReg.reader_study.question import LANDMARKS, LIKERT, PAIR, TEXT
from SlicerSynthReg.reader_study.statistics import QuestionStatistics, ReaderScore, StudyStatistics
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import document, embedded_image, table

METHODS = (
    "Accuracy: exact interval (Clopper and Pearson 1934) and exact two-sided binomial test against chance.",
    "All readers: their answers to one case are not independent; interval of Korn and Graubard (1998), cases as "
    "clusters.",
    "d′: difference of the normal quantiles of hit and false alarm rates, divided by √2 for pairs; log-linear "
    "correction (Hautus 1995) always applied; interval by Gourevitch and Galanter (1967). c: criterion "
    "(response bias), positive towards “real” (pairs: towards the right side).",
    "Area under the ROC curve: the chance that a generated image is graded above a real one; DeLong (1988), interval "
    "on the logit scale; where the grades separate both roles perfectly, by the variance of Hanley and McNeil (1982).",
    "Agreement: Cohen’s kappa (quadratic weights for grades; Fleiss, Cohen and Everitt 1969), Fleiss’ kappa and Gwet’s "
    "AC1 (Gwet 2008), both with grades as categories without order. For pairs, agreement in being right. No "
    "interval is given where the standard error is 0, such as where all agree.",
    "Repeated cases count once, with the first answer; presentations without an answer within the time limit count as "
    "missing. p-values are not corrected for multiple testing.",
)


def study_page(statistics: StudyStatistics) -> str:
    """Return self-contained HTML with readers' names and without cases' names."""
    parts = [f"<h1>{escape(statistics.title)}</h1>"]
    if statistics.unfinished:
        names = escape(", ".join(statistics.unfinished))
        parts.append(f"<p><b>Unblinded before the end:</b> {names} had not finished. Preliminary results.</p>")
    plot = accuracy_plot(statistics.questions)
    if plot is not None:
        parts += ["<h2>Accuracy</h2>", _image(plot, "Proportion of correct answers, by reader")]
    for entry in statistics.questions:
        parts.append(f"<h2>{escape(entry.part)}: {escape(entry.question.text)}</h2>")
        parts += _question(entry)
    parts += ["<h2>Time</h2>", *_times(statistics)]
    if any(statistics.corrections.values()):
        listed = ", ".join(f"{escape(reader)} {count}" for reader, count in statistics.corrections.items() if count)
        parts.append(f"<p>Corrected answers (the correction counts): {listed}.</p>")
    parts += ["<h2>Methods</h2>", "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in METHODS) + "</ul>"]
    return document(f"Reading study: {statistics.title}", "\n".join(parts))


def accuracy_statement(found: Proportion, alpha: float = 0.05) -> str:
    """Return one sentence on a reader's accuracy."""
    if found.p_value <= alpha and found.estimate > found.chance:
        return "Distinguished real from generated images better than chance."
    if found.p_value <= alpha:
        return "Confused real and generated images more often than by chance."
    return f"Not distinguishable from chance; {found.lower:.0%} to {found.upper:.0%} is compatible with the data."


def accuracy_table(rows: Sequence[tuple[str, Proportion]]) -> str:
    """Return an HTML table: name, counts, proportion with interval, p, and interpretation."""
    cells = []
    for name, a in rows:
        share = _interval(a.estimate, a.lower, a.upper)
        cells.append(
            (escape(name), f"{a.successes} of {a.count}", share, format_p_value(a.p_value), accuracy_statement(a))
        )
    return table(("", "Correct", "Accuracy (95 % interval)", "p against chance", "Interpretation"), cells)


def format_p_value(p: float) -> str:
    """Return a p-value as text."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _question(entry: QuestionStatistics) -> list[str]:
    kind = entry.question.kind
    if kind == TEXT:
        rows = [(escape(reader), escape(case), escape(text)) for reader, case, text in entry.comments]
        return [table(("Reader", "Case", "Comment"), rows) if rows else "<p>No comments.</p>"]
    if kind == LANDMARKS:
        return [_distances(entry)]
    parts = []
    if entry.question.choices:
        parts.append(accuracy_table([(score.reader, score.accuracy) for score in entry.readers if score.accuracy]))
        if entry.pooled:
            a = entry.pooled
            parts.append(
                f"<p>All readers, pooled: {a.successes} of {a.count} answers on {a.cases} cases, "
                f"{_interval(a.estimate, a.lower, a.upper)}; effective number of independent answers "
                f"{a.effective_count:.0f}.</p>"
            )
        parts.append(_detection(entry.readers))
    if kind == LIKERT:
        plot = grades_plot(entry)
        parts.append(_image(plot, "Grades by reader and kind of image") if plot else "<p>No grades.</p>")
    curve = roc_plot(entry)
    if curve is not None and (kind == LIKERT or entry.question.confidence):
        parts += [_image(curve, "ROC curves of the readers", 520)]
    parts += _agreement(entry)
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
    return table(("Reader", "d′ (95 % interval)", "Criterion c", "Area under ROC (95 % interval)", "Missing"), rows)


def _agreement(entry: QuestionStatistics) -> list[str]:
    rows = [_agreement_row(found.name, found) for found in entry.agreement]
    for score in entry.readers:
        if score.repeats:
            same, kappa = score.repeats.agreement, score.repeats.kappa
            observed = f"{same.successes} of {same.count} equal, {_interval(same.estimate, same.lower, same.upper)}"
            kappa_text = _number(kappa.estimate) if kappa else "–"
            rows.append((f"{escape(score.reader)}, repeated cases", kappa_text, observed))
    if not rows:
        return []
    note = " (in correctness)" if entry.question.kind == PAIR else ""
    return [table((f"Agreement{note}", "Coefficient (95 % interval)", "Observed"), rows)]


def _agreement_row(name: str, found: Agreement) -> tuple[str, str, str]:
    interval = "" if math.isnan(found.lower) else f" ({_number(found.lower)} to {_number(found.upper)})"
    observed = f"{found.observed:.0%} agreement, {found.expected:.0%} by chance, {found.cases} cases"
    return escape(name), _number(found.estimate) + interval, observed


def _distances(entry: QuestionStatistics) -> str:
    readers = [score.reader for score in entry.readers]
    rows = []
    for point in entry.distances:
        to_expert = [_mm(point.to_expert_mm.get(reader, math.nan)) for reader in readers]
        placed = f"{point.placed} of {point.placed + point.not_placed}"
        rows.append((escape(point.point), placed, *to_expert, _mm(point.between_readers_mm)))
    return table(("Point", "Placed", *(f"{reader} to expert" for reader in readers), "Between readers"), rows)


def _times(statistics: StudyStatistics) -> list[str]:
    plot = times_plot(statistics)
    rows = [
        (
            escape(row.reader),
            escape(row.part),
            str(row.count),
            f"{row.median_s:.1f} s ({row.lower_quartile_s:.1f} to {row.upper_quartile_s:.1f})",
            f"{row.total_s / 60:.1f} min",
            str(row.timed_out),
        )
        for row in statistics.times
    ]
    header = ("Reader", "Part", "Presentations", "Median per case (quartiles)", "Total", "Timed out")
    return [table(header, rows), *([_image(plot, "Seconds per case")] if plot else [])]


def _image(figure: Figure, description: str, width: int = 760) -> str:
    image = embedded_image(png_bytes(figure), description)
    return f'<div style="max-width: {width}px">{image}</div>'


def _interval(estimate: float, lower: float, upper: float) -> str:
    return f"{estimate:.0%} ({lower:.0%} to {upper:.0%})"


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _mm(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f} mm"
