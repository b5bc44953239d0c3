"""`synthreg review`: make, verify and evaluate blinded readings; plan them; look over a cohort of results.

What needs torch or matplotlib is imported by the command that needs it.
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

from SlicerSynthReg.console import CONTEXT, DEBUG, progress_bar, told_errors
from SlicerSynthReg.reading.log import SUFFIX, check_log
from SlicerSynthReg.reading.names import same_reader
from SlicerSynthReg.reading.question import LANDMARKS, LIKERT, PAIR, SINGLE, TEXT, Question, StudyError
from SlicerSynthReg.reading.session import ANSWERS
from SlicerSynthReg.reading.study import read_study
from SlicerSynthReg.reading.unblinding import unblind, unfinished, verified_logs
from SlicerSynthReg.reading.windows import PRESETS, named_window
from SlicerSynthReg.render import render
from SlicerSynthReg.request import plain

if TYPE_CHECKING:
    from SlicerSynthReg.evaluate.readers.proportion import Proportion

app = typer.Typer(
    help="Blinded reading studies and quality reports of cohorts.", no_args_is_help=True, context_settings=CONTEXT
)
LEVELS = ("very poor", "poor", "fair", "good", "excellent")


@app.command(context_settings=CONTEXT)
def make(
    cases: Path = typer.Argument(
        ...,
        help="Folder (with folders real and generated, or a folder for each case, or plain images), or a CSV table "
        "with the columns name and any of real, generated, image, landmarks.",
        show_default=False,
    ),
    out: Path = typer.Option(..., "--out", "-o", help="New folder for the study.", show_default=False),
    title: str = typer.Option("Reading study", help="What readers see as the study's name."),
    pairs: int = typer.Option(0, min=0, help="Cases shown as pair: which one is generated?"),
    singles: int = typer.Option(0, min=0, help="Other cases shown as one image: real or generated?"),
    ratings: int = typer.Option(0, min=0, help="Other cases with the questions below only."),
    confidence: int = typer.Option(0, min=0, help="Grades of confidence asked beside each choice; 0 for none."),
    likert: Optional[list[str]] = typer.Option(None, help="A graded question about every case; may be repeated."),
    levels: str = typer.Option(",".join(LEVELS), help="Names of the grades, the worst first, with commas."),
    landmarks: Optional[str] = typer.Option(None, help="Points to be placed, names with commas."),
    remarks: bool = typer.Option(False, help="Ask for remarks in free text, which may be left out."),
    repeats: int = typer.Option(0, min=0, help="Cases of each part shown a second time, unannounced."),
    time_limit: Optional[float] = typer.Option(None, min=1, help="Seconds for a case."),
    window: Optional[str] = typer.Option(None, help=f"Grey window: {', '.join(PRESETS)}, or WIDTH,LEVEL."),
    reader: Optional[list[str]] = typer.Option(None, help="Name of an expected reader; may be repeated."),
    instructions: str = typer.Option("", help="What readers are told before they begin."),
    seed: int = typer.Option(0, help="Of the choice of cases and of every reader's order and sides."),
    key: Optional[Path] = typer.Option(None, help="Where to put the key, away from the readers; default: key.json."),
    in_place: bool = typer.Option(False, help="Do not copy the images; study.json then names the files."),
    any_grid: bool = typer.Option(False, help="Allow the images of a pair to differ in size or place."),
    debug: bool = DEBUG,
) -> None:
    """Make a blinded reading study: study.json for the readers, key.json with the truth, anonymous images."""
    with told_errors(debug):
        from SlicerSynthReg.reading.make import PartPlan, StudyPlan, make_study
        from SlicerSynthReg.reading.sources import find_sources

        more = [Question(f"grade{n}", LIKERT, text, levels=_names(levels)) for n, text in enumerate(likert or [], 1)]
        more += [Question("landmarks", LANDMARKS, "Place the points", points=_names(landmarks))] if landmarks else []
        more += [Question("remarks", TEXT, "Remarks", required=False)] if remarks else []
        choices = {
            "pairs": (pairs, (Question("which", PAIR, "Which one is generated?", confidence),)),
            "singles": (singles, (Question("what", SINGLE, "Real or generated?", confidence),)),
            "ratings": (ratings, ()),
        }
        parts = tuple(
            PartPlan(name, (*own, *more), count, repeats, time_limit) for name, (count, own) in choices.items() if count
        )
        if not parts:
            raise StudyError("Found no cases asked for, expected any of --pairs, --singles, --ratings with a number.")
        grey = None if window is None else named_window(window)
        plan = StudyPlan(title, parts, seed, tuple(map(same_reader, reader or [])), grey, instructions)
        with progress_bar("making the study") as (bar, task):
            study = make_study(
                find_sources(cases), plan, out, key, not in_place, any_grid,
                lambda share, text: bar.update(task, completed=share, description=text),
            )  # fmt: skip
            bar.update(task, completed=1.0, description="made")
        for part in study.parts:
            Console().print(f"{part.name}: {len(part.cases)} cases, {part.repeats} shown twice")
        where = key or out / "key.json"
        Console().print(f"Study: {out / 'study.json'}. Keep {where} away from the readers until they are done.")


@app.command(context_settings=CONTEXT)
def verify(
    study_folder: Path = typer.Argument(..., help="Folder of the study, or one log (.jsonl).", show_default=False),
    images: bool = typer.Option(False, help="Read every image and compare it with the study's record."),
    debug: bool = DEBUG,
) -> None:
    """Check that no log of answers was changed; name the first line that was. Exit code 1 where one was."""
    with told_errors(debug):
        single = study_folder.name.endswith(SUFFIX)
        logs = [study_folder] if single else sorted((study_folder / ANSWERS).glob(f"*{SUFFIX}"))
        if not single:
            study = read_study(study_folder)
            study.require_images()
            if images:
                study.require_unchanged_images()
        if not all(log.exists() for log in logs) or not logs:
            raise StudyError("Found no log, expected files of answers. Check the path.")
        table = Table("log", "entries", "verdict", "last hash (note it elsewhere)", box=None)
        faults = 0
        for log in logs:
            found = check_log(log)
            faults += found.fault is not None
            text = "[green]untouched[/green]"
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
    answers: Optional[Path] = typer.Option(None, help="Folder of the logs; default: answers of the study."),
    incomplete: str = typer.Option("", metavar="REASON", help="Unblind before all are done; the reason is logged."),
    debug: bool = DEBUG,
) -> None:
    """Unblind a complete study (logged) and compute its statistics: numbers, plots, a page and JSON."""
    with told_errors(debug):
        from SlicerSynthReg.reading.page import study_page
        from SlicerSynthReg.reading.plots import accuracy_plot, grades_plot, roc_plot, times_plot
        from SlicerSynthReg.reading.statistics import study_statistics
        from SlicerSynthReg.report.figure import write_picture
        from SlicerSynthReg.report.html import write_page

        study = read_study(study_folder)
        opened = unblind(study, _user(), incomplete, key, answers)
        logs = verified_logs(study, answers)
        found = study_statistics(study, opened, logs, unfinished(study, logs))
        out.mkdir(parents=True, exist_ok=True)
        write_page(study_page(found), out / "statistics.html")
        text = json.dumps(plain(asdict(found)), indent=1, ensure_ascii=False, allow_nan=False)
        (out / "statistics.json").write_text(text + "\n", encoding="utf-8")
        plots = {"accuracy": accuracy_plot(found.questions), "times": times_plot(found)}
        for one in found.questions:
            name = re.sub(r"\W+", "-", f"{one.part}-{one.question.name}")
            plots |= {f"{name}-roc": roc_plot(one), f"{name}-grades": grades_plot(one)}
        for name, figure in plots.items():
            if figure is not None:
                write_picture(figure, out / f"{name}.png")
        _print_accuracy([(f"{q.part}: {s.reader}", s.accuracy) for q in found.questions for s in q.readers])
        Console().print(f"Page: {out / 'statistics.html'}, numbers: {out / 'statistics.json'}")


@app.command(context_settings=CONTEXT)
def counts(
    results: list[str] = typer.Argument(..., help="Right answers as 17/20; may carry a name: pairs=17/20."),
    chance: float = typer.Option(0.5, help="Share that guessing gives."),
    debug: bool = DEBUG,
) -> None:
    """Interval and test for counts from a paper, such as `counts pairs=17/20 singles=14/20 diffusion=20/20`."""
    with told_errors(debug):
        from SlicerSynthReg.evaluate.readers.proportion import proportion

        rows = []
        for text in results:
            found = re.fullmatch(r"(?:(.*)=)?(\d+)/(\d+)", text.strip())
            if not found:
                raise StudyError(f"Found {text!r}, expected counts as 17/20 or name=17/20.")
            rows.append((found[1] or text, proportion(int(found[2]), int(found[3]), chance)))
        _print_accuracy(rows)


@app.command(context_settings=CONTEXT)
def plan(
    accuracy: float = typer.Option(0.7, help="Share of right answers that you expect."),
    power: float = typer.Option(0.8, help="Probability with which the study shall show it."),
    chance: float = typer.Option(0.5, help="Share that guessing gives."),
    alpha: float = typer.Option(0.05, help="Probability of a false alarm, two-sided."),
    width: Optional[float] = typer.Option(None, help="Wanted width of the interval, as 0.2."),
    rule_out: Optional[float] = typer.Option(None, help="Share that shall be ruled out when readers only guess."),
    plot: Optional[Path] = typer.Option(None, help="PNG to draw the power over the number of cases into."),
    debug: bool = DEBUG,
) -> None:
    """How many cases a reading needs: exact binomial power against guessing, or the interval's width."""
    with told_errors(debug):
        from SlicerSynthReg.evaluate.readers.power import cases_for_power, cases_for_width, cases_to_rule_out

        table = Table("goal", "cases", "reached", box=None)
        if accuracy != chance:
            found = cases_for_power(accuracy, power, chance, alpha)
            goal = f"tell {accuracy:.0%} right answers from {chance:.0%} with power {power:.0%}"
            table.add_row(goal, str(found.count), f"power {found.reached:.1%}")
            if plot is not None:
                _draw_power(plot, accuracy, power, chance, alpha, found.count)
        if width is not None:
            found = cases_for_width(accuracy, width, 1 - alpha)
            goal = f"{1 - alpha:.0%} interval no wider than {width:.0%} at {accuracy:.0%}"
            table.add_row(goal, str(found.count), f"width {found.reached:.1%}")
        if rule_out is not None:
            found = cases_to_rule_out(rule_out, power, chance, alpha)
            goal = f"show that readers who guess are right in fewer than {rule_out:.0%}, power {power:.0%}"
            table.add_row(goal, str(found.count), f"power {found.reached:.1%}")
        console = Console()
        console.print(table)
        console.print("One reader's cases. Answers of more readers on the same cases do not count as more cases.")


def _draw_power(path: Path, accuracy: float, power: float, chance: float, alpha: float, chosen: int) -> None:
    from SlicerSynthReg.evaluate.readers.power import power_against_chance
    from SlicerSynthReg.reading.plots import power_plot
    from SlicerSynthReg.report.figure import write_picture

    counts = range(5, 2 * chosen + 10, max(1, chosen // 200))
    powers = [power_against_chance(n, accuracy, chance, alpha) for n in counts]
    write_picture(power_plot(counts, powers, power, chosen), path)


def _print_accuracy(rows: Iterable[tuple[str, Proportion | None]]) -> None:
    from SlicerSynthReg.reading.page import p_text, verdict

    table = Table("", "right", "share (95 % interval)", "p against guessing", "meaning", box=None)
    for name, found in rows:
        if found is not None:
            share = f"{found.estimate:.0%} ({found.lower:.1%} to {found.upper:.1%})"
            right = f"{found.successes} of {found.count}"
            table.add_row(escape(name), right, share, p_text(found.p_value), verdict(found))
    Console().print(table)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _user() -> str:
    with suppress(Exception):
        return getpass.getuser()
    return "unknown user"


app.command(context_settings=CONTEXT)(render)
