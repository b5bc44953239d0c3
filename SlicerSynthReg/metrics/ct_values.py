"""Check of whether values are Hounsfield units, from a sample of voxels. Imports no torch: panels use it."""

from __future__ import annotations

import numpy as np

_AIR_HU, _PADDING_HU = -900.0, -1100.0
_REMEDY = "Load the original DICOM series, whose headers hold the rescaling."


def hu_validation_error(values: np.ndarray) -> str:
    """Return why a sample of an image's voxels is not in HU, or "": MR, windowed or scaled grey values, a missing or
    doubled intercept."""
    low, high = float(values.min()), float(values.max())
    found = f"Found values from {low:g} to {high:g}"
    if high - low < 30:
        return f"{found}, which were scaled for a network, expected HU (air -1000, water 0). {_REMEDY}"
    if low >= 0 and high <= 255:
        return f"{found}, the grey values of a picture, expected HU (air -1000, water 0). {_REMEDY}"
    if low > -10:
        if _looks_like_hu(values - 1024):
            return (
                f"{found} that fit a CT shifted by 1024 (air at 0, water at 1024), expected HU (air -1000, water 0). "
                f"Subtract 1024. {_REMEDY}"
            )
        return (
            f"{found}, none of them air of a CT, expected HU (air -1000, water 0). Is this an MR or another modality? "
            "Choose the CT."
        )
    if not _looks_like_hu(values):
        if _looks_like_hu(values + 1024):
            return (
                f"{found} that fit a CT whose intercept of -1024 was subtracted twice, expected HU (air -1000, water "
                f"0). Add 1024. {_REMEDY}"
            )
        return (
            f"{found}, but few near fat and soft tissue (-160 to 160) beside air, expected HU (air -1000, water 0). "
            f"The values may be scaled, or of another modality. {_REMEDY}"
        )
    if all(_clipped(values)) and low > -600:
        return (
            f"Found values clipped to a window of {low:g} to {high:g}, expected the whole range of HU (-1000 to 1000). "
            f"{_REMEDY}"
        )
    return ""


def clipping_warnings(values: np.ndarray) -> list[str]:
    """Return warnings about values clipped within the range that is needed."""
    low, high = float(values.min()), float(values.max())
    clipped_low, clipped_high = _clipped(values)
    warnings = []
    if clipped_high:
        warnings.append(
            f"Found values clipped at {high:g} HU, expected up to 1000 or more: bone and dense contrast stay clipped. "
            "Load the original series if possible."
        )
    if clipped_low:
        warnings.append(f"Found values clipped at {low:g} HU, expected air at -1000. Load the original series.")
    return warnings


def _clipped(values: np.ndarray) -> tuple[bool, bool]:
    """Return whether the range is clipped below and above, as many voxels at its ends show."""
    low, high = float(values.min()), float(values.max())
    clipped_high = high < 990 and float((values == high).mean()) > 2e-4
    clipped_low = low > -900 and float((values == low).mean()) > 0.01
    return clipped_low, clipped_high


def _looks_like_hu(values: np.ndarray) -> bool:
    """Return whether there is air below -500, and of the rest enough near fat and soft tissue, at least a tenth between
    -30 and 110, and not all of one value (a filled background)."""
    low = values[values < _PADDING_HU - 100]
    if len(low) > 0.01 * len(values) and len(np.unique(low)) > 3:  # padding has one value, scaled air has many
        return False
    airy = values[(values < -300) & (values > _PADDING_HU)]
    if len(airy) and (airy < -700).mean() < 0.25:
        return False
    valid = values[values > _PADDING_HU]
    if len(valid) < 100 or (valid < -500).mean() < 0.003 and (valid < -60).mean() < 0.03:
        return False
    tissue = valid[valid > _AIR_HU]
    if len(tissue) < 0.02 * len(values):
        return False
    body = tissue[(tissue > -160) & (tissue < 160)]
    soft = tissue[(tissue > -30) & (tissue < 110)]
    spread = np.ptp(np.percentile(body, [10, 90])) if len(body) else 0.0
    return bool(len(body) > 0.2 * len(tissue) and len(soft) > 0.1 * len(tissue) and spread > 8)
