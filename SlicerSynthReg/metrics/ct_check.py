"""Check of a CT: whether its values are Hounsfield units, its contrast phase, and warnings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.aorta import detect_aorta
from SlicerSynthReg.metrics.ct_values import clipping_warnings, hu_validation_error
from SlicerSynthReg.spatial.intensity import subsample

NATIVE_MAX_HU, CONTRAST_MIN_HU, ARTERIAL_MIN_HU = 75.0, 100.0, 220.0
AORTA_LABEL = 52
HU_SAMPLES = 2_000_000
MAX_FIELD_OF_VIEW_MM = 550.0


@dataclass(frozen=True)
class CTCheck:
    """phase: "native", "contrast" or "unknown". timing: "arterial" or "portal venous or late" for contrast-enhanced
    CT, else "". aorta_hu: median HU of the aorta, None if not found. reasons: for the phase. warnings: found, expected,
    remedy."""

    phase: str
    timing: str
    aorta_hu: float | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def check_ct(image: Image, labels: Image | None = None) -> CTCheck:
    """Check that `image` is CT in HU and detect its contrast phase.

    labels: organ label map on the same grid, if there is one; the phase is read in its aorta (52) instead of a detected
    one. Raises ImageError (not-hounsfield) for MR, windowed or scaled grey values, and a missing or doubled intercept.
    """
    values = subsample(image.data[0].flatten(), HU_SAMPLES).float().cpu().numpy()
    error = hu_validation_error(values)
    if error:
        raise ImageError(error, code="not-hounsfield")
    warnings = [*clipping_warnings(values), *_geometry(image)]
    phase, timing, hu, reason = _phase(image, labels)
    return CTCheck(phase, timing, hu, (reason,), tuple(warnings))


def classify_phase(aorta_hu: float) -> tuple[str, str]:
    """Return (phase, timing) for the median HU of the aorta."""
    if aorta_hu < NATIVE_MAX_HU:
        return "native", ""
    if aorta_hu < CONTRAST_MIN_HU:
        return "unknown", ""
    return "contrast", "arterial" if aorta_hu >= ARTERIAL_MIN_HU else "portal venous or late"


def _phase(image: Image, labels: Image | None) -> tuple[str, str, float | None, str]:
    if labels is not None:
        image.grid.require_same(labels.grid, "the organ labels")
        inside = image.data[0][labels.data[0] == AORTA_LABEL]
        if len(inside) >= 20:
            hu = float(inside.float().median())
            return (*classify_phase(hu), hu, f"the labelled aorta has {hu:.0f} HU")
    found = detect_aorta(image)
    if found is None:
        return "unknown", "", None, "no spine, hence no aorta, was detected in this field of view"
    if not found.reliable:
        return "unknown", "", None, "no homogeneous, round vessel was detected anterior to the spine"
    phase, timing = classify_phase(found.hu)
    reason = f"a round vessel of {2 * found.radius_mm:.0f} mm anterior to the spine has {found.hu:.0f} HU"
    return phase, timing, found.hu, reason


def _geometry(image: Image) -> list[str]:
    grid = image.grid
    through = int(np.abs(grid.directions[2]).argmax())
    across = [axis for axis in range(3) if axis != through]
    rows, columns = (grid.shape[axis] for axis in across)
    width = max(grid.shape[axis] * grid.spacing[axis] for axis in across)
    warnings = []
    if (rows, columns) != (512, 512):
        warnings.append(
            f"Found slices of {rows} x {columns} pixels, expected 512 x 512 as in the models' training: the result "
            "keeps this grid, on which the models were not validated."
        )
    if width > MAX_FIELD_OF_VIEW_MM:
        warnings.append(
            f"Found a field of view of {width:.0f} mm, expected up to {MAX_FIELD_OF_VIEW_MM:.0f} mm. Crop it to the "
            "body."
        )
    if grid.spacing[through] > 7.0:
        warnings.append(
            f"Found slices {grid.spacing[through]:.1f} mm apart, expected 5 mm or less. Choose the thin reconstruction."
        )
    if not grid.is_orthonormal:
        warnings.append(
            "Found sheared slices (gantry tilt), expected a perpendicular stack: each slice is converted as it is, and "
            "the result keeps the tilt."
        )
    return warnings
