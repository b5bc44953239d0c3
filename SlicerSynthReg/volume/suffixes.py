"""How the names of image files end. Imports no torch."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


def suffix_of(name: str) -> str | None:
    """The one of SUFFIXES that a file name ends with, as it is written there; None for what is no image."""
    found = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    return None if found is None else name[len(name) - len(found) :]


def image_files(folder: Path) -> list[Path]:
    """The image files that lie in `folder` itself, by name; hidden ones are passed over."""
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in files if suffix_of(path.name) is not None)


def stem_of(path: Path) -> str:
    """A file's name without an image's suffix, or as it is."""
    return path.name[: len(path.name) - len(suffix_of(path.name) or "")]
