"""Shared by all command groups: error messages, progress bar, common options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from SlicerSynthReg.errors import Cancelled, RequestError, Suggestion, SynthRegError, missing_package_error
from SlicerSynthReg.request import Request, Result

CONTEXT = {"help_option_names": ["-h", "--help"]}
DEBUG = typer.Option(False, "--debug", help="Show the traceback of an error.")


@contextmanager
def readable_errors(debug: bool) -> Iterator[None]:
    """Print an expected error with its code in one panel and exit with 2; a cancellation exits with 130.

    Expected are SynthRegError, a missing package, and OSError or ValueError that say what was expected. debug: raise
    instead.
    """
    console = Console(stderr=True)
    try:
        yield
    except (SynthRegError, ImportError, OSError, ValueError) as error:
        expected = _expected_error(error)
        if debug or expected is None:
            raise
        text = escape(expected.format(_option_text))
        title = f"Error: {expected.code}"
        console.print(Panel(text, title=title, title_align="left", border_style="red"))
        raise typer.Exit(2) from None
    except (KeyboardInterrupt, Cancelled):
        console.print("Cancelled. No incomplete result was left.")
        raise typer.Exit(130) from None


def _expected_error(error: Exception) -> SynthRegError | None:
    if isinstance(error, SynthRegError):
        return error
    if isinstance(error, ImportError):
        return missing_package_error(error)
    return RequestError(str(error), code="invalid-input") if "expected" in str(error) else None


@contextmanager
def progress_bar(title: str, total: float | None = 1.0) -> Iterator[tuple[Progress, Any]]:
    """Show a progress bar; yields it and its task."""
    columns = (
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar, bar.add_task(title, total=total)


def run_with_bar(request: Request) -> Result:
    """Run a request in this process and show its progress."""
    from SlicerSynthReg.service.run import run

    with progress_bar(request.task) as (bar, task):
        return run(request, lambda fraction, text: bar.update(task, completed=fraction, description=text))


def flag(name: str) -> str:
    """Return the option of a parameter: fixed_labels -> --fixed-labels."""
    return f"--{name.replace('_', '-')}"


def _option_text(suggestion: Suggestion) -> str:
    value = "" if suggestion.value is True else f" {suggestion.value}"
    return f"pass {flag(suggestion.parameter)}{value}"
