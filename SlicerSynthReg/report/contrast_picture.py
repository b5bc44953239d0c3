"""Three planes of a CT and of the synthetic one, their difference in HU, and the cycle error, in one picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from SlicerSynthReg.report.columns import Column, columns_picture
from SlicerSynthReg.report.views import Framing, display_array, display_spacing, framing, require_one_grid
from SlicerSynthReg.volume.volume import Volume

ABDOMEN_HU = (-160.0, 240.0)
CHANGE_HU, CYCLE_HU = 200.0, 60.0
BODY_HU = -300.0
THINNEST_MM = 25.0
"""A plane in which less than this is seen is left out."""


def contrast_picture(scan: Volume, made: Volume, to: str, cycle: Volume | None = None) -> Figure:
    """Rows axial, coronal, sagittal; columns scan, synthetic, difference and, where given, cycle error.

    All on one grid, HU. Slices go through the middle of where most is changed, within the body.
    """
    require_one_grid(scan, [made, *([cycle] if cycle else [])])
    before, after = (display_array(volume).astype(np.float32) for volume in (scan, made))
    columns = [
        Column("Scan", before, "gray", ABDOMEN_HU),
        Column(f"Synthetic {to}", after, "gray", ABDOMEN_HU),
        Column(f"Difference, ±{CHANGE_HU:.0f} HU", after - before, "RdBu_r", (-CHANGE_HU, CHANGE_HU)),
    ]
    if cycle:
        columns.append(Column(f"Cycle error, 0 to {CYCLE_HU:.0f} HU", display_array(cycle), "inferno", (0, CYCLE_HU)))
    return columns_picture(
        columns, _framed(before, after, display_spacing(scan.grid)), display_spacing(scan.grid), scan.name
    )


def _framed(before: np.ndarray, after: np.ndarray, spacing: np.ndarray) -> Framing:
    """The body's box; slices where the change is greatest."""
    body = before > BODY_HU
    box = framing(body if body.any() else np.ones(before.shape, dtype=bool), spacing)
    change = np.abs(after - before) * body
    centre = tuple(
        int(np.argmax(change.sum(axis=tuple(other for other in range(3) if other != axis)))) if change.any() else middle
        for axis, middle in enumerate(box.centre)
    )
    return Framing(centre, box.low, box.high)
