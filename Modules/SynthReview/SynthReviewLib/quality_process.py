"""Computations for the quality table, in a process of their own where they need torch."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from SynthRegLib.worker_process import environment, python

from SlicerSynthReg.report.quality import QualityTable, WorstLocation

_WORST = """
import json, sys
from pathlib import Path
from SlicerSynthReg.report.worst import worst_location
place = worst_location(Path(sys.argv[1]))
print(json.dumps(None if place is None else [place.ras_mm, place.reason]))
"""


class ProcessFailed(RuntimeError):
    """The last line of the process's output."""


def plot(table: QualityTable) -> bytes:
    """Return a PNG of all measures, one dot per case; b"" without data or matplotlib."""
    try:
        from SlicerSynthReg.report.figure import png_bytes
        from SlicerSynthReg.report.quality_page import measures_plot
    except ImportError:
        return b""
    figure = measures_plot(table)
    return b"" if figure is None else png_bytes(figure)


def worst_location(folder: Path) -> WorstLocation | None:
    """Return the worst location of a result; None without maps. Raises ProcessFailed."""
    found = json.loads(_run("-c", _WORST, str(folder)).splitlines()[-1])
    return None if found is None else WorstLocation(tuple(found[0]), found[1])


def render(folder: Path, out: Path) -> Path:
    """Write the report with three views of each case. Raises ProcessFailed."""
    _run("-m", "SlicerSynthReg.cli.main", "review", "render", str(folder), "--out", str(out))
    return out / "quality.html"


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [python(), *arguments], env={**os.environ, **environment()}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ProcessFailed(said[-1] if said else f"The process ended with {done.returncode}.")
    return done.stdout
