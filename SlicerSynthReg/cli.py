"""The command line: `synthreg`. Options of the tasks come from the table of tasks; torch is loaded only to compute."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from SlicerSynthReg.console import CONTEXT, DEBUG, flag, progress_bar, readable_errors
from SlicerSynthReg.request import Request, RequestError, Result
from SlicerSynthReg.review import app as review
from SlicerSynthReg.run import run
from SlicerSynthReg.tasks.parameters import ParameterSpec
from SlicerSynthReg.tasks.table import TASKS

_OUT = "Folder for the results; made if needed, filled only when all is whole."

app = typer.Typer(
    name="synthreg",
    help="Registration of medical images across contrasts. For research, not for diagnosis or treatment.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings=CONTEXT,
)
transform = typer.Typer(help="Use saved transforms.", no_args_is_help=True)
app.add_typer(transform, name="transform")
app.add_typer(review, name="review")


def run_with_bar(request: Request) -> Result:
    with progress_bar(request.task) as (bar, task):
        return run(request, lambda fraction, text: bar.update(task, completed=fraction, description=text))


def print_result(result: Result) -> None:
    console = Console()
    table = Table("result", "file", box=None)
    for name, path in result.outputs.items():
        table.add_row(name.replace("_", " "), os.path.relpath(path))
    console.print(table)
    for warning in result.warnings:
        console.print(f"[yellow]Note:[/yellow] {escape(warning)}")


def task_command(group: typer.Typer, task: str, name: str) -> None:
    """Give `group` a command `name` that runs `task`: required inputs are arguments, all else options."""
    spec = TASKS[task]

    def command(out: Path, debug: bool, **values: Any) -> None:
        inputs = {one: str(values[one]) for one in spec.inputs if values[one] is not None}
        parameters = {one: values[one] for one in spec.parameter_specs()}
        with readable_errors(debug):
            print_result(run_with_bar(Request(task, inputs, str(out), parameters)))

    options: dict[str, tuple[Any, Any]] = {}
    for one, given in spec.inputs.items():
        if given.required:
            options[one] = (Path, typer.Argument(..., help=given.help, show_default=False))
        else:
            options[one] = (Optional[Path], typer.Option(None, flag(one), help=given.help))
    options["out"] = (Path, typer.Option(..., "--out", "-o", help=_OUT, show_default=False))
    options.update({one.name: _option(one) for one in spec.parameter_specs().values()})
    options["debug"] = (bool, DEBUG)
    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = [inspect.Parameter(one, keyword, default=how, annotation=kind) for one, (kind, how) in options.items()]
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    command.__annotations__ = {one: kind for one, (kind, _) in options.items()}
    group.command(name, help=spec.help, context_settings=CONTEXT)(command)


def _option(one: ParameterSpec) -> tuple[Any, Any]:
    flags = flag(one.name)
    if one.kind is bool and one.default:
        flags = f"{flags}/--no-{one.name.replace('_', '-')}"
    metavar = "|".join(one.choices) or None
    kind = one.kind if one.default is not None else Optional[one.kind]
    return kind, typer.Option(one.default, flags, help=one.help, metavar=metavar)


task_command(app, "register", "register")
task_command(app, "sequence", "register-sequence")
task_command(app, "context", "context")
task_command(app, "healthy", "healthy")
task_command(app, "finetune", "finetune")
task_command(app, "segment", "segment")
task_command(app, "contrast", "contrast")
task_command(app, "export", "export")
task_command(app, "features", "features")
task_command(app, "topology", "topology")
task_command(transform, "apply", "apply")


@app.command(context_settings=CONTEXT)
def batch(
    worklist: Path = typer.Argument(
        ...,
        help="CSV: fixed, moving, and any other input, parameter or name of the task as a column. For a task of one "
        "image also a folder of images or of DICOM series, or a BIDS data set.",
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Folder that receives one folder a row, results.csv and a page."),
    workers: Optional[int] = typer.Option(
        None, min=1, help="Processes on this machine; default: by processors and memory."
    ),
    scheduler: Optional[str] = typer.Option(None, help="Dask scheduler to use instead, as tcp://host:8786."),
    task: str = typer.Option("register", help=f"What is done to every row: {', '.join(TASKS)}."),
    pattern: Optional[str] = typer.Option(None, help="Which images of a folder, as **/*_FLAIR.nii.gz; default: all."),
    settings: list[str] = typer.Option([], "--set", metavar="NAME=VALUE", help="Parameter of every row, repeatable."),
    debug: bool = DEBUG,
) -> None:
    """Register every row of a worklist, or do another task; start again to go on where it stopped."""
    from SlicerSynthReg.batch import RowResult, run_batch
    from SlicerSynthReg.cohort import read_cohort, with_settings
    from SlicerSynthReg.worklist import read_worklist

    with readable_errors(debug):
        if task not in TASKS:
            raise RequestError(f"Found the task {task!r}, expected one of {', '.join(TASKS)}.")
        listed = read_cohort(worklist, task, pattern, out) if worklist.is_dir() else read_worklist(worklist, task)
        rows = with_settings(listed, settings)
        with progress_bar("starting", total=len(rows.rows)) as (bar, shown):

            def row_done(result: RowResult) -> None:
                if result.status == "failed":
                    bar.console.print(f"[red]{result.name}:[/red] {escape(result.message)}")
                bar.update(shown, advance=1, description=f"{result.name} {result.status}")

            results = run_batch(rows, out, workers, scheduler, row_done)
    counts = {status: sum(r.status == status for r in results) for status in ("done", "skipped", "failed")}
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    page = f" Page: {out / 'index.html'}," if task == "register" else ""
    Console().print(f"{summary}.{page} table: {out / 'results.csv'}")
    if counts["failed"]:
        raise typer.Exit(1)


@app.command("contrast-pairs", context_settings=CONTEXT)
def contrast_pairs(
    studies: Path = typer.Argument(..., help="Folder with the DICOM files of any number of studies and patients."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder that receives train, test and pairs.csv."),
    phase: str = typer.Option("arterial", help="The contrast scans' phase: arterial, or portal venous or late."),
    test_share: float = typer.Option(0.2, min=0.0, max=0.9, help="Share of the patients that is kept for testing."),
    interpolate_gaps: bool = typer.Option(False, help="Fill in missing slices instead of leaving the series out."),
    debug: bool = DEBUG,
) -> None:
    """Native and contrast CT of each DICOM study as registered pairs, for `synthreg train contrast --pairs`."""
    from SlicerSynthReg.tasks.ct_pairing import PHASES, make_pairs

    with readable_errors(debug):
        if not studies.is_dir():
            raise RequestError("Found no folder of studies at that path, expected one with DICOM files. Check it.")
        if phase not in PHASES:
            raise RequestError(f"Found the phase {phase!r}, expected one of {', '.join(PHASES)}.")
        if not make_pairs(studies, out, phase, test_share, interpolate_gaps, Console().print):
            raise RequestError("Found no pair in these studies, expected a native and a contrast series in one.")


@app.command(context_settings=CONTEXT)
def models(debug: bool = DEBUG) -> None:
    """List the models that are installed, from their cards."""
    from SlicerSynthReg.weights.registry import WeightsError, available, read_card

    table = Table("model", "method", "images", "spacing", "trained on", "licence", title="Models")
    with readable_errors(debug):
        for name in available():
            try:
                card = read_card(name)
            except WeightsError as error:
                raise RequestError(str(error)) from error
            data = card.training_data + (" (synthetic images only)" if card.synthetic_training_only else "")
            table.add_row(card.name, card.method, card.modalities, f"{card.spacing_mm:g} mm", data, card.licence)
        if not table.row_count:
            raise RequestError("Found no models, expected those that ship. Reinstall, or set SYNTHREG_WEIGHTS.")
        Console().print(table)


@app.command(context_settings=CONTEXT)
def demo(
    out: Path = typer.Option(Path("demo-output"), "--out", "-o", help=_OUT),
    fixed: Optional[Path] = typer.Option(None, help="Your own fixed image instead of the template."),
    moving: Optional[Path] = typer.Option(None, help="Your own moving image."),
    debug: bool = DEBUG,
) -> None:
    """Register a brain template with a copy of another contrast, moved in a known way; or two images of yours."""
    from SlicerSynthReg.demo import run_demo

    with readable_errors(debug):
        run_demo(out, fixed, moving, run_with_bar, print_result)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def train(context: typer.Context) -> None:
    """Train models: `synthreg train --help`."""
    from SlicerSynthReg.train.command import app as training

    training(args=context.args, prog_name="synthreg train")


if __name__ == "__main__":
    app()
