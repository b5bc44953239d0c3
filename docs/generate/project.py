"""CHANGELOG.md and CONTRIBUTING.md of the repository as pages of the site."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def changelog() -> str:
    """Return CHANGELOG.md with links that work in the site."""
    return _page("CHANGELOG.md")


def contributing() -> str:
    """Return CONTRIBUTING.md with links that work in the site."""
    return _page("CONTRIBUTING.md")


def _page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
