"""Whether a volume is a CT in Hounsfield units, which phase it shows, and what about it deserves a warning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.evaluate.aorta import find_aorta
from SlicerSynthReg.evaluate.ct_values import cut_off, hu_fault
from SlicerSynthReg.volume.volume import Volume, VolumeError

NATIVE_BELOW_HU, CONTRAST_FROM_HU, ARTERIAL_FROM_HU = 75.0, 100.0, 220.0
AORTA_LABEL = 52
WIDEST_MM = 550.0


@dataclass(frozen=True)
class CTCheck:
    """phase: "native", "contrast" or "unknown". timing: "arterial" or "portal venous or late" for a contrast scan,
    else "". aorta_hu: its median, None where no aorta was made out. reasons: why this phase. warnings: for the reader,
    found, expected and what to do."""

    phase: str
    timing: str
    aorta_hu: float | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def check_ct(volume: Volume, labels: Volume | None = None) -> CTCheck:
    """labels: organs on the same grid, where there are any; their aorta (52) tells the phase instead of a search.

    Errors: VolumeError for values that are no HU: MR, windowed or scaled grey values, a missing or doubled intercept.
    """
    values = _subset(volume.data[0])
    fault = hu_fault(values)
    if fault:
        raise VolumeError(fault)
    warnings = [*cut_off(values), *_geometry(volume)]
    phase, timing, hu, reason = _phase(volume, labels)
    return CTCheck(phase, timing, hu, (reason,), tuple(warnings))


def phase_of(aorta_hu: float) -> tuple[str, str]:
    """(phase, timing) of an aorta this bright."""
    if aorta_hu < NATIVE_BELOW_HU:
        return "native", ""
    if aorta_hu < CONTRAST_FROM_HU:
        return "unknown", ""
    return "contrast", "arterial" if aorta_hu >= ARTERIAL_FROM_HU else "portal venous or late"


def _phase(volume: Volume, labels: Volume | None) -> tuple[str, str, float | None, str]:
    if labels is not None:
        volume.grid.require_same(labels.grid, "the organ labels")
        inside = volume.data[0][labels.data[0] == AORTA_LABEL]
        if len(inside) >= 20:
            hu = float(inside.float().median())
            return (*phase_of(hu), hu, f"the labelled aorta has {hu:.0f} HU")
    found = find_aorta(volume)
    if found is None:
        return "unknown", "", None, "no spine, and so no aorta, was made out in this field of view"
    if not found.clear:
        return "unknown", "", None, "no even, round vessel stands out before the spine"
    phase, timing = phase_of(found.hu)
    reason = f"a round vessel of {2 * found.radius_mm:.0f} mm before the spine has {found.hu:.0f} HU"
    return phase, timing, found.hu, reason


def _subset(values: torch.Tensor, most: int = 2_000_000) -> np.ndarray:
    flat = values.flatten()
    step = -(-len(flat) // most)
    return np.asarray(flat[::step].float().cpu().numpy())


def _geometry(volume: Volume) -> list[str]:
    grid = volume.grid
    through = int(np.abs(grid.directions[2]).argmax())
    across = [axis for axis in range(3) if axis != through]
    rows, columns = (grid.shape[axis] for axis in across)
    width = max(grid.shape[axis] * grid.spacing[axis] for axis in across)
    warnings = []
    if (rows, columns) != (512, 512):
        warnings.append(
            f"Found slices of {rows} x {columns} pixels, expected 512 x 512 as the models were made for: the result "
            "keeps this grid, but has not been judged on it."
        )
    if width > WIDEST_MM:
        warnings.append(
            f"Found a field of view of {width:.0f} mm, expected up to {WIDEST_MM:.0f} mm. Crop it to the body."
        )
    if grid.spacing[through] > 7.0:
        warnings.append(
            f"Found slices {grid.spacing[through]:.1f} mm apart, expected 5 mm or less. Choose the thin reconstruction."
        )
    if not grid.is_orthonormal:
        warnings.append(
            "Found slices that are shifted against each other (gantry tilt), expected an upright stack: each slice is "
            "converted as it is, and the result keeps the tilt."
        )
    return warnings
