"""`synthreg review`: create, verify, evaluate and plan blinded reader studies; quality reports of cohorts.

torch and matplotlib are imported only by the commands that need them.
"""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from SlicerSynthReg.cli.console import CONTEXT, DEBUG, progress_bar, readable_errors
from SlicerSynthReg.cli.options import add_record_command, out_option
from SlicerSynthReg.cli.records import PowerParameters, QualityParameters, StudyParameters
from SlicerSynthReg.cli.render import SOURCE_HELP, render
from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.parameters.base import OUTPUT
from SlicerSynthReg.reader_study.ct_windows import parse_window
from SlicerSynthReg.reader_study.question import LANDMARKS, LIKERT, PAIR, SINGLE, TEXT, ReadingQuestion
from SlicerSynthReg.reader_study.response_log import SUFFIX, verify_log
from SlicerSynthReg.reader_study.schedule import normalise_reader_name
from SlicerSynthReg.reader_study.session import RESPONSE_FOLDER
from SlicerSynthReg.reader_study.study import read_study
from SlicerSynthReg.reader_study.unblinding import unblind, unfinished_readers, verified_logs
from SlicerSynthReg.request import to_jsonable

if TYPE_CHECKING:
    from SlicerSynthReg.metrics.readers.proportion import Proportion
    from SlicerSynthReg.reader_study.make import PartPlan

app = typer.Typer(
    help="Blinded reading studies and quality reports of cohorts.", no_args_is_help=True, context_settings=CONTEXT
)


def make(cases: Path, out: Path, key: Path | None, parameters: StudyParameters) -> None:
    """Create a blinded reader study: study.json, blinding key key.json, and anonymised images."""
    from SlicerSynthReg.reader_study.make import StudyPlan, make_study
    from SlicerSynthReg.reader_study.sources import find_case_sources

    plan = StudyPlan(
        parameters.title,
        _part_plans(parameters),
        parameters.seed,
        tuple(map(normalise_reader_name, parameters.reader)),
        None if parameters.window is None else parse_window(parameters.window),
        parameters.instructions,
        not parameters.in_place,
        parameters.any_grid,
    )
    with progress_bar("creating the study") as (bar, task):
        study = make_study(
            find_case_sources(cases), plan, out, key,
            lambda share, text: bar.update(task, completed=share, description=text),
        )  # fmt: skip
        bar.update(task, completed=1.0, description="created")
    for part in study.parts:
        Console().print(f"{part.name}: {len(part.cases)} cases, {part.repeats} repeated")
    where = key or out / "key.json"
    Console().print(escape(f"Study: {out / 'study.json'}. Keep {where} away from the readers until all have finished."))


def _part_plans(parameters: StudyParameters) -> tuple[PartPlan, ...]:
    """Return the parts with cases. Raises StudyError (study-empty)."""
    from SlicerSynthReg.reader_study.make import PartPlan

    levels = _names(parameters.levels)
    shared = [
        ReadingQuestion(f"grade{n}", LIKERT, text, levels=levels) for n, text in enumerate(parameters.likert, start=1)
    ]
    if parameters.landmarks:
        points = _names(parameters.landmarks)
        shared.append(ReadingQuestion("landmarks", LANDMARKS, "Place the points", points=points))
    if parameters.remarks:
        shared.append(ReadingQuestion("remarks", TEXT, "Remarks", required=False))
    pair = ReadingQuestion("which", PAIR, "Which one is generated?", parameters.confidence)
    single = ReadingQuestion("what", SINGLE, "Real or generated?", parameters.confidence)
    parts = {
        "pairs": (parameters.pairs, (pair, *shared)),
        "singles": (parameters.singles, (single, *shared)),
        "ratings": (parameters.ratings, tuple(shared)),
    }
    plans = tuple(
        PartPlan(name, questions, count, parameters.repeats, parameters.time_limit)
        for name, (count, questions) in parts.items()
        if count
    )
    if not plans:
        raise StudyError(
            "Found no number of cases, expected at least one of --pairs, --singles, --ratings.", code="study-empty"
        )
    return plans


add_record_command(
    app,
    "make",
    StudyParameters,
    {
        "cases": typer.Argument(
            ...,
            help="Folder (with folders real and generated, or a folder for each case, or plain images), or a CSV table "
            "with the columns name and any of real, generated, image, landmarks.",
            show_default=False,
        ),
        "out": out_option("New folder for the study."),
        "key": typer.Option(
            None, metavar="PATH", help="File for the blinding key; default: key.json in the study.",
            rich_help_panel=OUTPUT,
        ),
    },
    make,
)  # fmt: skip


@app.command(context_settings=CONTEXT)
def verify(
    study_folder: Path = typer.Argument(..., help="Folder of the study, or one log (.jsonl).", show_default=False),
    images: bool = typer.Option(False, "--images", help="Compare the hash of every image with the study."),
    debug: bool = DEBUG,
) -> None:
    """Verify that no response log was modified; report the first modified line. Exit code 1 if one was."""
    with readable_errors(debug):
        single = study_folder.name.endswith(SUFFIX)
        logs = [study_folder] if single else sorted((study_folder / RESPONSE_FOLDER).glob(f"*{SUFFIX}"))
        if not single:
            study = read_study(study_folder)
            study.require_images()
            if images:
                study.require_unchanged_images()
        if not all(log.exists() for log in logs) or not logs:
            raise StudyError("Found no response log, expected at least one. Check the path.", code="log-missing")
        table = Table("log", "entries", "verdict", "last hash (keep a copy elsewhere)", box=None)
        faults = 0
        for log in logs:
            found = verify_log(log)
            faults += found.fault is not None
            text = "[green]unmodified[/green]"
            if found.fault is not None:
                text = f"[red]line {found.fault.line} {escape(found.fault.text)}[/red]"
            elif found.torn:
                text += ", last line torn by a crash"
            table.add_row(log.name, str(len(found.entries)), text, found.head.hash[:16])
        Console().print(table)
    if faults:
        raise typer.Exit(1)


@app.command(context_settings=CONTEXT)
def stats(
    study_folder: Path = typer.Argument(..., help="Folder of the study.", show_default=False),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for statistics.html, .json and the plots."),
    key: Optional[Path] = typer.Option(None, help="The key file; default: key.json of the study."),
    answers: Optional[Path] = typer.Option(None, help="Folder of the response logs; default: that of the study."),
    incomplete: str = typer.Option("", metavar="REASON", help="Unblind before all readers have finished; logged."),
    debug: bool = DEBUG,
) -> None:
    """Unblind a complete study (logged) and compute its statistics: page, plots and JSON."""
    with readable_errors(debug):
        from SlicerSynthReg.reader_study.page import study_page
        from SlicerSynthReg.reader_study.plots import accuracy_plot, grades_plot, roc_plot, times_plot
        from SlicerSynthReg.reader_study.statistics import study_statistics
        from SlicerSynthReg.report.figure import write_picture
        from SlicerSynthReg.report.html import write_page

        study = read_study(study_folder)
        opened = unblind(study, _user(), incomplete, key, answers)
        logs = verified_logs(study, answers)
        found = study_statistics(study, opened, logs, unfinished_readers(study, logs))
        out.mkdir(parents=True, exist_ok=True)
        write_page(study_page(found), out / "statistics.html")
        text = json.dumps(to_jsonable(asdict(found)), indent=1, ensure_ascii=False, allow_nan=False)
        (out / "statistics.json").write_text(text + "\n", encoding="utf-8")
        plots = {"accuracy": accuracy_plot(found.questions), "times": times_plot(found)}
        for question in found.questions:
            name = re.sub(r"\W+", "-", f"{question.part}-{question.question.name}")
            plots |= {f"{name}-roc": roc_plot(question), f"{name}-grades": grades_plot(question)}
        for name, figure in plots.items():
            if figure is not None:
                write_picture(figure, out / f"{name}.png")
        _print_accuracy([(f"{q.part}: {s.reader}", s.accuracy) for q in found.questions for s in q.readers])
        Console().print(f"Page: {out / 'statistics.html'}, numbers: {out / 'statistics.json'}")


@app.command(context_settings=CONTEXT)
def counts(
    results: list[str] = typer.Argument(..., help="Correct answers as 17/20, or with a name: pairs=17/20."),
    chance: float = typer.Option(0.5, help="Accuracy of guessing."),
    debug: bool = DEBUG,
) -> None:
    """Print the confidence interval and binomial test of counts, such as `counts pairs=17/20 singles=14/20`."""
    with readable_errors(debug):
        from SlicerSynthReg.metrics.readers.proportion import proportion

        rows = []
        for text in results:
            found = re.fullmatch(r"(?:(.*)=)?(\d+)/(\d+)", text.strip())
            if not found:
                raise StudyError(f"Found {text!r}, expected counts as 17/20 or name=17/20.", code="parameter-value")
            rows.append((found[1] or text, proportion(int(found[2]), int(found[3]), chance)))
        _print_accuracy(rows)


def plan(plot: Path | None, parameters: PowerParameters) -> None:
    """Sample size of a reader study: exact binomial power against guessing, or width of the interval."""
    from SlicerSynthReg.metrics.readers.power import cases_for_power, cases_for_width, cases_to_rule_out

    accuracy, power, chance, alpha = parameters.accuracy, parameters.power, parameters.chance, parameters.alpha
    table = Table("goal", "cases", "reached", box=None)
    if accuracy != chance:
        found = cases_for_power(accuracy, power, chance, alpha)
        goal = f"distinguish an accuracy of {accuracy:.0%} from {chance:.0%} with power {power:.0%}"
        table.add_row(goal, str(found.count), f"power {found.reached:.1%}")
        if plot is not None:
            _draw_power(plot, parameters, found.count)
    if parameters.width is not None:
        found = cases_for_width(accuracy, parameters.width, 1 - alpha)
        goal = f"{1 - alpha:.0%} interval no wider than {parameters.width:.0%} at {accuracy:.0%}"
        table.add_row(goal, str(found.count), f"width {found.reached:.1%}")
    if parameters.rule_out is not None:
        found = cases_to_rule_out(parameters.rule_out, power, chance, alpha)
        goal = f"exclude an accuracy of {parameters.rule_out:.0%} for readers who guess, power {power:.0%}"
        table.add_row(goal, str(found.count), f"power {found.reached:.1%}")
    console = Console()
    console.print(table)
    console.print("Cases for one reader; readings of the same cases by further readers do not add cases.")


def _draw_power(path: Path, parameters: PowerParameters, chosen: int) -> None:
    from SlicerSynthReg.metrics.readers.power import power_against_chance
    from SlicerSynthReg.reader_study.plots import power_plot
    from SlicerSynthReg.report.figure import write_picture

    counts = range(5, 2 * chosen + 10, max(1, chosen // 200))
    powers = [power_against_chance(n, parameters.accuracy, parameters.chance, parameters.alpha) for n in counts]
    write_picture(power_plot(counts, powers, parameters.power, chosen), path)


add_record_command(
    app,
    "plan",
    PowerParameters,
    {
        "plot": typer.Option(
            None, metavar="PATH", help="PNG file for the plot of power against number of cases.",
            rich_help_panel=OUTPUT,
        )
    },
    plan,
)  # fmt: skip


def _print_accuracy(rows: Iterable[tuple[str, Proportion | None]]) -> None:
    from SlicerSynthReg.reader_study.page import accuracy_statement, format_p_value

    table = Table("", "correct", "accuracy (95 % interval)", "p against guessing", "result", box=None)
    for name, found in rows:
        if found is not None:
            share = f"{found.estimate:.0%} ({found.lower:.1%} to {found.upper:.1%})"
            right = f"{found.successes} of {found.count}"
            table.add_row(escape(name), right, share, format_p_value(found.p_value), accuracy_statement(found))
    Console().print(table)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _user() -> str:
    with suppress(Exception):
        return getpass.getuser()
    return "unknown user"


add_record_command(
    app,
    "render",
    QualityParameters,
    {
        "source": typer.Argument(..., help=SOURCE_HELP, show_default=False),
        "out": out_option("Folder for quality.html, .pdf, .csv and the sheets."),
    },
    render,
)
