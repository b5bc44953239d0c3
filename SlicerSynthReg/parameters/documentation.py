"""Markdown tables of parameter records, for the documentation. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from SlicerSynthReg.parameters.base import ParameterSpec, parameter_specs


def parameter_table(record: type) -> str:
    """Return the parameters of one record as a Markdown table: option, type, default, description, sorted by group."""
    rows = ((f"`{_flag(spec)}`", spec.group, _type(spec), _value(spec.default), spec.help) for spec in _specs(record))
    return markdown_table(("Option", "Group", "Value", "Default", "Description"), rows)


def markdown_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; vertical bars in cells are escaped."""
    lines = [list(headings)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _specs(record: type) -> Iterable[ParameterSpec]:
    return parameter_specs(record).values()


def _flag(spec: ParameterSpec) -> str:
    negated = "no-" if spec.kind is bool and spec.default else ""
    return f"--{negated}{spec.name.replace('_', '-')}"


def _type(spec: ParameterSpec) -> str:
    if spec.choices:
        return ", ".join(f"`{choice}`" for choice in spec.choices)
    return "switch" if spec.kind is bool else spec.expected()


def _value(default: Any) -> str:
    if default is None or default == "":
        return ""
    return "on" if default is True else "off" if default is False else f"`{default}`"
