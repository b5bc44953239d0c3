"""Three planes of a scan, of the healthy brain behind it, of the anomaly and of the expected error, in one picture."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from SlicerSynthReg.report.columns import Column, columns_picture
from SlicerSynthReg.report.views import Framing, display_array, display_spacing, framing, require_one_grid, window
from SlicerSynthReg.volume.volume import Volume

HEALTHY_T1 = (0.0, 0.95)
ERROR = (0.0, 0.2)


def healthy_picture(scan: Volume, healthy: Volume, anomaly: Volume, error: Volume, brain: Volume) -> Figure:
    """Rows axial, coronal, sagittal; columns scan, healthy T1, anomaly map, expected error.

    All on one grid. Slices go through the middle of the anomaly, or of the brain where there is none.
    """
    require_one_grid(scan, [healthy, anomaly, error, brain])
    shown, inside = display_array(scan).astype(np.float32), display_array(brain) > 0.5
    sick = display_array(anomaly).astype(np.float32)
    spacing = display_spacing(scan.grid)
    box = framing(inside if inside.any() else np.ones(inside.shape, dtype=bool), spacing)
    marked = sick > 0.5
    centre = tuple(
        int(np.argmax(marked.sum(axis=tuple(other for other in range(3) if other != axis)))) if marked.any() else middle
        for axis, middle in enumerate(box.centre)
    )
    columns = [
        Column("Scan", shown, "gray", window(shown, inside) if inside.any() else (0.0, 1.0)),
        Column("Healthy T1", display_array(healthy), "gray", HEALTHY_T1),
        Column("Anomaly, 0 to 1", sick, "inferno", (0.0, 1.0)),
        Column("Expected error, 0 to 0.2", display_array(error), "viridis", ERROR),
    ]
    return columns_picture(columns, Framing(centre, box.low, box.high), spacing, scan.name)
