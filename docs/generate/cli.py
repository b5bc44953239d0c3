"""The command line: every command of `synthreg` with its arguments and options, from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from generate.modules import escape_cell
from SlicerSynthReg.cli.main import app
from SlicerSynthReg.training.cli import app as training


def page() -> str:
    """Return the page reference/cli.md."""
    parts = ["# Command line", "", "Generated from the program. `synthreg COMMAND --help` prints the same.", ""]
    for name, command in all_commands():
        parts += [f"## {name}", "", _text(command.help), ""]
        parts += _table("argument", [one for one in command.params if one.param_type_name == "argument"])
        parts += _table("option", [one for one in command.params if one.param_type_name == "option"])
    return "\n".join(parts)


def all_commands() -> Iterator[tuple[str, Any]]:
    """Yield name and click command of every command without further commands."""
    yield from _leaves("synthreg", typer.main.get_command(app))
    yield from _leaves("synthreg train", typer.main.get_command(training))


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for below, one in command.commands.items():
            yield from _leaves(f"{name} {below}", one)
    elif name != "synthreg train":
        yield name, command


def _table(title: str, params: list[Any]) -> list[str]:
    shown = [one for one in params if "--help" not in one.opts]
    if not shown:
        return []
    rows = [f"| {_name(one)} | {_default(one)} | {_text(getattr(one, 'help', ''))} |" for one in shown]
    return [f"| {title} | default | meaning |", "| --- | --- | --- |", *rows, ""]


def _name(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{one.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in [*one.opts, *one.secondary_opts])
    value = "" if one.is_flag else f" `{one.metavar or 'VALUE'}`"
    return names + escape_cell(value)


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if isinstance(one.default, bool):
        return "on" if one.default else "off"
    return "" if one.default in (None, "", [], ()) or callable(one.default) else f"`{one.default}`"


def _text(text: str | None) -> str:
    return escape_cell(" ".join((text or "").split()))
