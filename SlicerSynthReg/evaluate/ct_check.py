"""Whether a volume is a CT in Hounsfield units, which phase it shows, and what about it deserves a warning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.evaluate.aorta import find_aorta
from SlicerSynthReg.volume.volume import Volume, VolumeError

NATIVE_BELOW_HU, CONTRAST_FROM_HU, ARTERIAL_FROM_HU = 75.0, 100.0, 220.0
AORTA_LABEL = 52
WIDEST_MM = 550.0
_AIR_HU, _PADDING_HU = -900.0, -1100.0
_REMEDY = "Load the original DICOM series, whose headers hold the rescaling."


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
    warnings = [*_require_hu(values), *_geometry(volume)]
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


def _require_hu(values: np.ndarray) -> list[str]:
    """Warnings about the range; VolumeError where the values are no HU."""
    low, high = float(values.min()), float(values.max())
    found = f"Found values from {low:g} to {high:g}"
    if high - low < 30:
        raise VolumeError(f"{found}, which were scaled for a network, expected HU (air -1000, water 0). {_REMEDY}")
    if low >= 0 and high <= 255:
        raise VolumeError(f"{found}, the grey values of a picture, expected HU (air -1000, water 0). {_REMEDY}")
    if low > -10:
        if _looks_like_hu(values - 1024):
            raise VolumeError(
                f"{found} that fit a CT shifted by 1024 (air at 0, water at 1024), expected HU (air -1000, water 0). "
                f"Subtract 1024. {_REMEDY}"
            )
        raise VolumeError(
            f"{found}, none of them air of a CT, expected HU (air -1000, water 0). Is this an MR or another modality? "
            "Choose the CT."
        )
    if not _looks_like_hu(values):
        if _looks_like_hu(values + 1024):
            raise VolumeError(
                f"{found} that fit a CT whose intercept of -1024 was subtracted twice, expected HU (air -1000, water "
                f"0). Add 1024. {_REMEDY}"
            )
        raise VolumeError(
            f"{found}, but few near fat and soft tissue (-160 to 160) beside air, expected HU (air -1000, water 0). "
            f"The values may be scaled, or of another modality. {_REMEDY}"
        )
    return _clipped(values, low, high)


def _looks_like_hu(values: np.ndarray) -> bool:
    """Air about the body or in it below -500, and of what is no air a fair part near fat and soft tissue, where both
    show: water between -30 and 110 at least a tenth, and not all at one value (a filled background)."""
    low = values[values < _PADDING_HU - 100]
    if len(low) > 0.01 * len(values) and len(np.unique(low)) > 3:  # padding has one value, scaled air has many
        return False
    airy = values[(values < -300) & (values > _PADDING_HU)]
    if len(airy) and (airy < -700).mean() < 0.25:
        return False
    seen = values[values > _PADDING_HU]
    if len(seen) < 100 or (seen < -500).mean() < 0.003 and (seen < -60).mean() < 0.03:
        return False
    tissue = seen[seen > _AIR_HU]
    if len(tissue) < 0.02 * len(values):
        return False
    body = tissue[(tissue > -160) & (tissue < 160)]
    soft = tissue[(tissue > -30) & (tissue < 110)]
    spread = np.ptp(np.percentile(body, [10, 90])) if len(body) else 0.0
    return bool(len(body) > 0.2 * len(tissue) and len(soft) > 0.1 * len(tissue) and spread > 8)


def _clipped(values: np.ndarray, low: float, high: float) -> list[str]:
    """A range cut off within what is needed shows as many voxels at its very ends."""
    cut_high = high < 990 and float((values == high).mean()) > 2e-4
    cut_low = low > -900 and float((values == low).mean()) > 0.01
    if cut_high and cut_low and low > -600:
        raise VolumeError(
            f"Found values clipped to a window of {low:g} to {high:g}, expected the whole range of HU (-1000 to 1000). "
            f"{_REMEDY}"
        )
    warnings = []
    if cut_high:
        warnings.append(
            f"Found values cut off at {high:g} HU, expected up to 1000 or more: what was brighter, such as bone and "
            "dense contrast, stays cut. Load the original series if you can."
        )
    if cut_low:
        warnings.append(f"Found values cut off below at {low:g} HU, expected air at -1000. Load the original series.")
    return warnings


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
