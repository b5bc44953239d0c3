"""Commands from parameter records: options, with one panel of the help text for each group."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

import typer

from SlicerSynthReg.cli.console import CONTEXT, DEBUG, flag, readable_errors
from SlicerSynthReg.parameters.base import INPUTS, OUTPUT, ParameterSpec, parameter_specs
from SlicerSynthReg.tasks.registry import TaskSpec

OUT_HELP = "Folder for the results; created if needed, complete or absent."

Run = Callable[[dict[str, str], str, dict[str, Any], bool], None]
"""Called with inputs, output folder, parameters and debug."""


def add_command(group: typer.Typer, name: str, spec: TaskSpec, run: Run) -> None:
    """Add a command `name` to `group`: required inputs are arguments, other inputs and all parameters options."""
    specs = spec.parameter_specs()

    def command(out: Path, debug: bool, **values: Any) -> None:
        inputs = {name: str(values[name]) for name in spec.inputs if values[name] is not None}
        run(inputs, str(out), {name: values[name] for name in specs}, debug)

    options = {**_input_options(spec), **{name: _option(spec) for name, spec in specs.items()}}
    _register(group, name, spec.help, command, options)


def add_record_command(
    group: typer.Typer, name: str, record: type, paths: Mapping[str, Any], run: Callable[..., None]
) -> None:
    """Add a command `name` to `group` for a record that is not of a task.

    paths: name -> typer's Argument or Option. run: called with the paths as keyword arguments and the record as
    `parameters`; its first docstring line is the help text. Its expected errors are printed.
    """
    specs = parameter_specs(record)

    def command(debug: bool, **values: Any) -> None:
        with readable_errors(debug):
            chosen = {name: spec.validated(values[name]) for name, spec in specs.items()}
            run(**{path: values[path] for path in paths}, parameters=record(**chosen))

    options = {name: (Optional[Path] if how.default is None else Path, how) for name, how in paths.items()}
    options |= {name: _option(spec) for name, spec in specs.items()}
    _register(group, name, (run.__doc__ or "").partition("\n")[0], command, options)


def _register(
    group: typer.Typer, name: str, help: str, command: Callable[..., None], options: dict[str, tuple[Any, Any]]
) -> None:
    options["debug"] = (bool, DEBUG)
    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = [
        inspect.Parameter(name, keyword, default=how, annotation=kind) for name, (kind, how) in options.items()
    ]
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    command.__annotations__ = {name: kind for name, (kind, _) in options.items()}
    group.command(name, help=help, context_settings=CONTEXT)(command)


def _input_options(spec: TaskSpec) -> dict[str, tuple[Any, Any]]:
    options: dict[str, tuple[Any, Any]] = {}
    for name, input_spec in spec.inputs.items():
        if input_spec.required:
            options[name] = (Path, typer.Argument(..., help=input_spec.help, show_default=False))
        else:
            options[name] = (
                Optional[Path],
                typer.Option(None, flag(name), help=input_spec.help, metavar="PATH", rich_help_panel=INPUTS),
            )
    options["out"] = (Path, out_option(OUT_HELP))
    return options


def out_option(help: str) -> Any:
    """Return the required option --out."""
    return typer.Option(..., "--out", "-o", help=help, metavar="PATH", show_default=False, rich_help_panel=OUTPUT)


def _option(spec: ParameterSpec) -> tuple[Any, Any]:
    flags = flag(spec.name)
    if spec.kind is bool and spec.default:
        flags = f"{flags}/{flag(f'no_{spec.name}')}"
    metavar = None if spec.kind is bool else {int: "INT", float: "NUMBER"}.get(spec.kind, "TEXT")
    help = f"{spec.help} Choices: {', '.join(spec.choices)}." if spec.choices else spec.help
    kind = spec.kind if spec.default is not None else Optional[spec.kind]
    if spec.repeatable:
        return list[str], typer.Option([], flags, help=help, metavar=metavar, rich_help_panel=spec.group)
    return kind, typer.Option(spec.default, flags, help=help, metavar=metavar, rich_help_panel=spec.group)
