"""Every command in the documentation exists, with every option that is given to it."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer.main

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "Testing" / "Benchmarks")]

from blocks import commands, inline_commands  # noqa: E402
from results import read_results  # noqa: E402

RESULTS = read_results()
FOUND = [
    *commands(),
    *((f"{name}.json", result.command.split()) for name, result in RESULTS.items()),
    *((f"{name}.json", words) for name, result in RESULTS.items() for words in inline_commands(result.notes)),
]


def option_names(words: list[str]) -> list[str]:
    """Return the options among `words`, those handed on by --options left out."""
    if "--options" in words:
        words = words[: words.index("--options") + 1]
    return [word.split("=")[0] for word in words if re.match(r"--[a-z]|-[a-z]$", word)]


def synthreg_faults(words: list[str]) -> list[str]:
    """Return what is unknown of a `synthreg` command: the command itself, or options of it."""
    from SlicerSynthReg.cli.main import app

    command, rest = typer.main.get_command(app), words[1:]
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return [rest[0]]
        following = command.commands[rest[0]]
        if rest[0] == "train":
            from SlicerSynthReg.training.cli import app as training

            following = typer.main.get_command(training)
        command, rest = following, rest[1:]
    known = {name for one in command.params for name in [*one.opts, *one.secondary_opts]} | {"--help", "-h"}
    return [name for name in option_names(rest) if name not in known]


def script_faults(words: list[str]) -> list[str]:
    """Return the options of a benchmark that its source does not name; the script itself where there is none."""
    script = ROOT / words[1]
    if not script.is_file():
        return [words[1]]
    source = script.read_text(encoding="utf-8")
    known = set(re.findall(r'"(--[a-z-]+)"', source)) | ({"--save"} if "add_save_option" in source else set())
    return [name for name in option_names(words[2:]) if name not in known]


def faults(words: list[str]) -> list[str]:
    if words[0] == "synthreg":
        return synthreg_faults(words)
    if len(words) > 1 and words[1] == "make.py":
        return [word for word in words[2:3] if f"def {word}()" not in (ROOT / "make.py").read_text(encoding="utf-8")]
    if len(words) > 1 and words[1].startswith("Testing/"):
        return script_faults(words)
    if words[1:3] == ["-m", "pytest"]:
        return [path for path in words[3:] if not (ROOT / path).exists()]
    return []


@pytest.mark.parametrize(("place", "words"), FOUND, ids=[f"{place}-{n}" for n, (place, _) in enumerate(FOUND)])
def test_command_and_options_exist(place: str, words: list[str]) -> None:
    assert faults(words) == [], " ".join(words)


def test_unknown_names_are_found() -> None:
    assert faults(shlex.split("synthreg register a b --out c --preset fast")) == []
    assert faults(shlex.split("synthreg register a b --no-such-option")) == ["--no-such-option"]
    assert faults(shlex.split("synthreg transform misapply a")) == ["misapply"]
    assert faults(shlex.split("python Testing/Benchmarks/contrasts.py --contrasts 3 --save x --other")) == ["--other"]
    assert faults(shlex.split("python3 make.py undo")) == ["undo"]


def test_many_commands_are_found() -> None:
    assert sum(words[0] == "synthreg" for _, words in FOUND) > 40
    assert importlib.util.find_spec("SlicerSynthReg") is not None
