"""Inputs and parameters of every task, from the records that validate them."""

from __future__ import annotations

from SlicerSynthReg.cli.main import COMMANDS
from SlicerSynthReg.parameters.documentation import markdown_table, parameter_table
from SlicerSynthReg.tasks.registry import TASKS

INTRODUCTION = """# Parameters

Generated from the parameter records (`SlicerSynthReg/parameters`). A parameter has the same name in Python
(`synthreg.register(..., preset="fast")`), in requests and worklists (`preset`) and on the command line (`--preset`;
underscores become hyphens). An empty default means that the task decides.
"""


def page() -> str:
    """Return the page reference/parameters.md."""
    return "\n".join([INTRODUCTION, *(_section(task) for task in TASKS)])


def _section(task: str) -> str:
    spec = TASKS[task]
    command = f"synthreg {COMMANDS[task]}"
    inputs = [(f"`{name}`", "yes" if one.required else "no", one.help) for name, one in spec.inputs.items()]
    tables = [markdown_table(("Input", "Required", "Description"), inputs), parameter_table(spec.parameters)]
    return "\n".join([f"## {command}\n", f"Task `{task}`. {spec.help}\n", *map(_without_html, tables)])


def _without_html(table: str) -> str:
    return table.replace("<", "&lt;").replace(">", "&gt;")
