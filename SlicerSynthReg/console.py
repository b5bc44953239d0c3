"""What all command groups share: errors in plain words, a progress bar, the options that every command has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from SlicerSynthReg.request import Cancelled, RequestError, Suggestion

CONTEXT = {"help_option_names": ["-h", "--help"]}
DEBUG = typer.Option(False, "--debug", help="Show the traceback of an error.")


@contextmanager
def readable_errors(debug: bool) -> Iterator[None]:
    """RequestError as one panel and exit code 2, cancellation as exit code 130; with `debug`, tracebacks."""
    console = Console(stderr=True)
    try:
        yield
    except RequestError as error:
        if debug:
            raise
        told = escape(error.told(_option_words))
        console.print(Panel(told, title="synthreg could not do this", title_align="left", border_style="red"))
        raise typer.Exit(2) from None
    except (KeyboardInterrupt, Cancelled):
        console.print("Cancelled; nothing half-written was left.")
        raise typer.Exit(130) from None


@contextmanager
def told_errors(debug: bool) -> Iterator[None]:
    """Also errors of images, grids, files and figures that say found and expected, as `readable_errors` does."""
    with readable_errors(debug):
        try:
            yield
        except (ValueError, OSError) as error:
            if "expected" not in str(error):
                raise
            raise RequestError(str(error)) from error


@contextmanager
def progress_bar(what: str, total: float | None = 1.0) -> Iterator[tuple[Progress, Any]]:
    columns = (
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar, bar.add_task(what, total=total)


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _option_words(suggestion: Suggestion) -> str:
    value = "" if suggestion.value is True else f" {suggestion.value}"
    return f"pass {flag(suggestion.parameter)}{value}"
