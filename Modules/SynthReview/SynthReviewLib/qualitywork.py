"""What is computed for the table of many results, outside of Slicer's own process where it needs torch."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from SynthRegLib.warm import environment, python

from SlicerSynthReg.report.quality import Place, QualityTable

_WORST = """
import json, sys
from pathlib import Path
from SlicerSynthReg.report.worst import worst_place
place = worst_place(Path(sys.argv[1]))
print(json.dumps(None if place is None else [place.ras_mm, place.why]))
"""


class ProcessFailed(RuntimeError):
    """The last thing that the process said."""


def plot(table: QualityTable) -> bytes:
    """PNG of all measures, a dot a case; b"" where there is nothing to draw, or no matplotlib."""
    try:
        from SlicerSynthReg.report.figure import png_bytes
        from SlicerSynthReg.report.quality_page import measures_plot
    except ImportError:
        return b""
    figure = measures_plot(table)
    return b"" if figure is None else png_bytes(figure)


def worst_place(folder: Path) -> Place | None:
    """Of one result; None where its maps do not tell. ProcessFailed."""
    found = json.loads(_run("-c", _WORST, str(folder)).splitlines()[-1])
    return None if found is None else Place(tuple(found[0]), found[1])


def render(folder: Path, out: Path) -> Path:
    """The report's page, with three views of each case. ProcessFailed."""
    _run("-m", "SlicerSynthReg.cli", "review", "render", str(folder), "--out", str(out))
    return out / "quality.html"


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [python(), *arguments], env={**os.environ, **environment()}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ProcessFailed(said[-1] if said else f"The process ended with {done.returncode}.")
    return done.stdout
