"""Model cards: one section for each weights/*.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from generate.modules import escape_cell

INTRODUCTION = """Generated from the cards beside the weights (`SlicerSynthReg/weights/*.json`). `synthreg models` lists
the installed ones. For research; none is validated on patients. Training commands are given as they were run; later
versions may have renamed options (see the [changelog](../changelog.md))."""
ROOT = Path(__file__).resolve().parents[2]
FIELDS = {
    "method": "Method",
    "modalities": "Images",
    "spacing_mm": "Spacing, mm",
    "intended_use": "Intended use",
    "limits": "Limits",
    "training_data": "Training data",
    "trained_with": "Training",
    "measured_with": "Measurement",
    "licence": "Licence",
    "sha256": "SHA-256 of the weights",
}


def page() -> str:
    """Return the page reference/models.md."""
    lines = ["# Model cards", "", INTRODUCTION, ""]
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(_folder().glob("*.json"))]
    lines += ["| model | method | images | better than its baseline |", "| --- | --- | --- | --- |"]
    for card in cards:
        better = {True: "yes", False: "no", None: "not stated"}[card.get("beats_baseline")]
        lines.append(
            f"| [{card['name']}](#{card['name']}) | {card['method']} | {escape_cell(card['modalities'])} | {better} |"
        )
    for card in cards:
        lines += ["", *_section(card)]
    return "\n".join(lines) + "\n"


def _folder() -> Path:
    return ROOT / "SlicerSynthReg" / "weights"


def _section(card: dict[str, Any]) -> list[str]:
    lines = [f"## {card['name']}", "", "| field | value |", "| --- | --- |"]
    lines += [f"| {title} | {escape_cell(str(card[key]))} |" for key, title in FIELDS.items() if card.get(key)]
    synthetic = "yes" if card.get("synthetic_training_only") else "no"
    lines += [f"| Trained on synthetic images only | {synthetic} |", "", "| score | value |", "| --- | --- |"]
    lines += [f"| {escape_cell(name)} | {escape_cell(_value(value))} |" for name, value in card["scores"].items()]
    return lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
