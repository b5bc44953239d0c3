"""Pages of the documentation, their fenced blocks and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "Testing" / "Benchmarks" / "README.md"])
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_PROGRAMS = ("synthreg", "python", "python3")


@dataclass(frozen=True)
class Block:
    """One fenced block. page: path relative to the repository. language: empty where none is given. names_only: whether
    the line above begins with the comment "names only": it is checked against the API, not run."""

    page: str
    line: int
    language: str
    text: str
    names_only: bool = False

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Return the blocks of one language in all pages."""
    return [block for page in PAGES for block in _blocks(page) if block.language == language]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield place and words of every command of the project: in shell blocks, unmarked blocks and inline code."""
    for page in PAGES:
        name, text = page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
        for block in _blocks(page):
            if block.language in ("", "bash", "sh"):
                yield from ((str(block), words) for words in _commands(block.text))
        yield from ((name, words) for words in inline_commands(_FENCE.sub("", text)))


def inline_commands(text: str) -> list[list[str]]:
    """Return the commands in the inline code of a Markdown text."""
    return [words for code in _INLINE.findall(text) for words in _commands(code) if len(words) > 1]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        indent, language, body = match.groups()
        body = "\n".join(one[len(indent) :] for one in body.split("\n"))
        above = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        yield Block(page.relative_to(ROOT).as_posix(), line, language, body, above.startswith("<!-- names only"))


def _commands(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").split("\n"):
        for part in re.split(r"&&|;|\|", line.split(" #")[0]):
            try:
                words = shlex.split(part)
            except ValueError:
                continue
            if words and Path(words[0]).name in _PROGRAMS:
                yield [Path(words[0]).name, *words[1:]]
