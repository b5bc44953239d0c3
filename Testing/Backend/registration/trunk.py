"""A synthetic trunk as a function of position, in Hounsfield units."""

from __future__ import annotations

import numpy as np

from SlicerSynthReg.spatial.grid import Grid

BODY_GRID = Grid((40, 34, 26), np.array([[6.0, 0, 0, -117], [0, 6, 0, -99], [0, 0, 9, -112], [0, 0, 0, 1]]))
ORGANS = (
    # centre and radii in mm, HU: right lung, left lung, liver, spleen, kidney, vertebra, rib
    ((-45, 10, 55), (32, 45, 45), -800),
    ((42, 6, 60), (26, 40, 42), -780),
    ((-40, 5, -35), (42, 40, 30), 120),
    ((55, -20, -25), (18, 24, 24), 160),
    ((-45, -40, -70), (14, 14, 24), 200),
    ((0, -55, 0), (14, 12, 90), 500),
    ((75, 10, -70), (10, 14, 12), 600),
)


def hounsfield(points: np.ndarray) -> np.ndarray:
    """Return the HU at points (N, 3), RAS mm, of a trunk with subcutaneous fat and asymmetric organs."""

    def inside(center, radii, sharp=0.15):
        radius = np.sqrt((((points - center) / radii) ** 2).sum(1))
        return 0.5 * (1 - np.tanh((radius - 1) / sharp))

    values = -1000 + 890 * inside((0, 0, 0), (104, 84, 150), 0.05)
    values = values + (40 - values) * inside((0, 0, 0), (90, 70, 140), 0.05)
    for center, radii, hu in ORGANS:
        values = values + (hu - values) * inside(np.array(center), np.array(radii))
    return values
