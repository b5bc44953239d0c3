"""The command line `synthreg`. Options come from the parameter records; torch is imported only to compute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from SlicerSynthReg.cli.console import CONTEXT, DEBUG, progress_bar, readable_errors, run_with_bar
from SlicerSynthReg.cli.options import OUT_HELP, add_command, add_record_command, out_option
from SlicerSynthReg.cli.records import BatchParameters
from SlicerSynthReg.cli.review import app as review
from SlicerSynthReg.errors import RequestError, WeightsError
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.runtime import synthreg_version
from SlicerSynthReg.tasks.registry import TASKS
from SlicerSynthReg.weights.registry import Card, available, read_card

app = typer.Typer(
    name="synthreg",
    help="Registration of medical images across contrasts. For research, not for diagnosis or treatment.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings=CONTEXT,
)
transform = typer.Typer(help="Use saved transforms.", no_args_is_help=True, context_settings=CONTEXT)
app.add_typer(transform, name="transform")
app.add_typer(review, name="review")

COMMANDS = {
    "register": "register",
    "sequence": "register-sequence",
    "apply": "transform apply",
    "in-context": "in-context",
    "healthy": "healthy",
    "finetune": "finetune",
    "segment": "segment",
    "contrast": "contrast",
    "export": "export",
    "features": "features",
    "topology": "topology",
}
"""Task -> command."""


def print_result(result: Result) -> None:
    """Print the table of output files, and the warnings."""
    console = Console()
    table = Table("result", "file", box=None)
    for name, path in result.outputs.items():
        table.add_row(name.replace("_", " "), escape(os.path.relpath(path)))
    console.print(table)
    for warning in result.warnings:
        console.print(f"[yellow]Note:[/yellow] {escape(warning)}")


def _add_task(task: str, command: str) -> None:
    def run(inputs: dict[str, str], out: str, parameters: dict[str, Any], debug: bool) -> None:
        with readable_errors(debug):
            print_result(run_with_bar(Request(task, inputs, out, parameters)))

    group, name = (transform, command.split()[1]) if " " in command else (app, command)
    add_command(group, name, TASKS[task], run)


for _task, _command in COMMANDS.items():
    _add_task(_task, _command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"synthreg {synthreg_version()}")
        raise typer.Exit()


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_print_version, help="Print the version."),
) -> None:
    pass


def batch(worklist: Path, out: Path, parameters: BatchParameters) -> None:
    """Run a task on every row of a worklist; a repeated call resumes."""
    from SlicerSynthReg.service.batch import RowResult, Workers, run_batch
    from SlicerSynthReg.service.cohort import read_cohort
    from SlicerSynthReg.service.worklist import read_worklist

    task = parameters.task
    from_folder = worklist.is_dir()
    rows = read_cohort(worklist, task, parameters.pattern, out) if from_folder else read_worklist(worklist, task)
    rows = rows.with_parameters(parameters.set)
    with progress_bar("starting", total=len(rows.rows)) as (bar, shown):

        def row_done(result: RowResult) -> None:
            if result.status == "failed":
                bar.console.print(f"[red]{escape(result.name)}:[/red] {escape(result.message)}")
            bar.update(shown, advance=1, description=f"{result.name} {result.status}")

        limit_s = None if parameters.time_limit is None else 60 * parameters.time_limit
        workers = Workers(parameters.workers, parameters.scheduler, time_limit_s=limit_s)
        results = run_batch(rows, out, workers, row_done)
    counts = {status: sum(r.status == status for r in results) for status in ("done", "skipped", "failed")}
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    page = f" Page: {out / 'index.html'}," if task == "register" else ""
    Console().print(escape(f"{summary}.{page} table: {out / 'results.csv'}"))
    if counts["failed"]:
        raise typer.Exit(1)


add_record_command(
    app,
    "batch",
    BatchParameters,
    {
        "worklist": typer.Argument(
            ...,
            help="CSV with a row per request; columns: the task's inputs, parameters and name. For a task with one "
            "required image also a folder of images or DICOM series, or a BIDS data set.",
            show_default=False,
        ),
        "out": out_option("Folder for one folder per row, results.csv and index.html."),
    },
    batch,
)


@app.command("contrast-pairs", context_settings=CONTEXT)
def contrast_pairs(
    studies: Path = typer.Argument(..., help="Folder with DICOM files of one or more studies and patients."),
    out: Path = typer.Option(..., "--out", "-o", metavar="PATH", help="Folder for train, test and pairs.csv."),
    phase: str = typer.Option("arterial", help="Phase of the contrast-enhanced scans."),
    test_share: float = typer.Option(
        0.2, min=0.0, max=0.9, metavar="NUMBER", help="Fraction of patients held out for testing."
    ),
    interpolate_gaps: bool = typer.Option(
        False, "--interpolate-gaps", help="Interpolate missing slices instead of skipping the series."
    ),
    debug: bool = DEBUG,
) -> None:
    """Register native and contrast CT of each DICOM study as pairs for `synthreg train contrast --pairs`."""
    with readable_errors(debug):
        from SlicerSynthReg.contrast.pairing import PHASES, PairingOptions, write_pairs

        if not studies.is_dir():
            raise RequestError(
                "Found no folder of studies at that path, expected one with DICOM files. Check it.", code="path-missing"
            )
        if phase not in PHASES:
            raise RequestError(
                f"Found the phase {phase!r}, expected one of {', '.join(PHASES)}.", code="parameter-value"
            )
        options = PairingOptions(phase, test_share, interpolate_gaps)
        if not write_pairs(studies, out, options, Console().print):
            raise RequestError(
                "Found no pair in these studies, expected a native and a contrast series in one.", code="pairs-missing"
            )


@app.command(context_settings=CONTEXT)
def models(
    name: Optional[str] = typer.Argument(None, help="Name of a model, to print its whole card.", show_default=False),
    debug: bool = DEBUG,
) -> None:
    """List the installed models, one per line; with NAME, print one model card."""
    with readable_errors(debug):
        if name is not None:
            _print_card(read_card(name))
            return
        cards, damaged = [], []
        for model in available():
            try:
                cards.append(read_card(model))
            except WeightsError:
                damaged.append(model)
        if not cards:
            raise RequestError(
                "Found no models, expected those that ship. Reinstall, or set SYNTHREG_WEIGHTS.", code="model-missing"
            )
        table = Table(box=None)
        table.add_column("model", no_wrap=True, overflow="fold", min_width=max(len(card.name) for card in cards))
        table.add_column("method", no_wrap=True, min_width=max(len(card.method) for card in cards))
        table.add_column("voxels", no_wrap=True, min_width=6)
        table.add_column("images", no_wrap=True, overflow="ellipsis")
        for card in cards:
            table.add_row(escape(card.name), escape(card.method), f"{card.spacing_mm:g} mm", escape(card.modalities))
        for model in damaged:
            table.add_row(escape(model), "damaged", "", "card unreadable: reinstall")
        Console().print(table)


def _print_card(card: Card) -> None:
    table = Table(box=None, show_header=False)
    training = f"{card.training_data}{' (synthetic images only)' if card.synthetic_training_only else ''}"
    rows = {
        "model": card.name,
        "method": card.method,
        "images": card.modalities,
        "voxels": f"{card.spacing_mm:g} mm",
        "intended use": card.intended_use,
        "limits": card.limits,
        "training data": training,
        "licence": card.licence,
        **{f"score: {name}": str(value) for name, value in card.scores.items()},
    }
    for heading, text in rows.items():
        table.add_row(escape(heading), escape(text))
    Console().print(table)


@app.command(context_settings=CONTEXT)
def demo(
    out: Path = typer.Option(Path("demo-output"), "--out", "-o", metavar="PATH", help=OUT_HELP),
    fixed: Optional[Path] = typer.Option(None, metavar="PATH", help="Fixed image to use instead of the template."),
    moving: Optional[Path] = typer.Option(None, metavar="PATH", help="Moving image to use with it."),
    debug: bool = DEBUG,
) -> None:
    """Register a brain template and a deformed copy in another contrast with a known transform; or two images."""
    with readable_errors(debug):
        from SlicerSynthReg.cli.demo import run_demo

        run_demo(out, fixed, moving, run_with_bar, print_result)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def train(context: typer.Context) -> None:
    """Train models: `synthreg train --help`."""
    with readable_errors(debug="--debug" in context.args):
        from SlicerSynthReg.training.cli import app as training

    training(args=context.args, prog_name="synthreg train")


if __name__ == "__main__":
    app()
