"""Checks of the inputs of a contrast conversion, before a network is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.axial_slices import AxialView, axial_slab
from SlicerSynthReg.io.ct_series import SeriesCheck
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.ct_check import CTCheck, check_ct

TILT = "gantry tilt"
"""Words of the warning that both headers and grid can give."""
NO_HEADERS = SeriesCheck("", ())


@dataclass(frozen=True, eq=False)
class ContrastInputs:
    """image: CT in HU, one channel. phase: detected phase, "native", "contrast" or "unknown". warnings: found,
    expected, remedy. labels: organ label map, reference: CT of the target phase, both on the grid of `image`."""

    image: Image
    phase: str
    warnings: tuple[str, ...]
    labels: Image | None
    reference: Image | None

    def slice(self, n: int) -> ContrastInputs:
        """Return these inputs cropped to axial slice n (0 = lowest)."""

        def crop(image: Image | None) -> Image | None:
            return image and axial_slab(image, n, n + 1)

        image = axial_slab(self.image, n, n + 1)
        return replace(self, image=image, labels=crop(self.labels), reference=crop(self.reference))


def check_ct_inputs(
    image: Image,
    target_phase: str,
    labels: Image | None = None,
    reference: Image | None = None,
    headers: SeriesCheck = NO_HEADERS,
) -> ContrastInputs:
    """Check that `image` is CT in HU, detect its phase and collect warnings.

    headers: of the DICOM series, if known; their phase counts where the image does not show one. Raises ImageError
    (not-hounsfield), GeometryError (grid-mismatch).
    """
    for other, name in ((labels, "the label map"), (reference, "the reference image")):
        if other is not None:
            image.grid.require_same(other.grid, name)
    check = check_ct(image, labels)
    if check.phase == "unknown" and headers.phase:
        phase = "native" if headers.phase == "native" else "contrast"
        check = replace(check, phase=phase, timing=headers.phase, reasons=("according to its headers",))
    tilted = any(TILT in text for text in headers.warnings)
    own = [text for text in check.warnings if not (tilted and TILT in text)]
    warnings = (*headers.warnings, *own, *phase_warnings(check, target_phase))
    return ContrastInputs(image, check.phase, warnings, labels, reference)


def check_slice(image: Image, number: int | None) -> None:
    """Raise RequestError (slice-range) unless `number` counts an axial slice of `image` from 1, or is None."""
    count = AxialView.of(image.grid).count(image.grid)
    if number is not None and not 1 <= number <= count:
        raise RequestError(
            f"Found slice = {number} for an image of {count} axial slices, expected 1 to {count}.", code="slice-range"
        )


def phase_warnings(check: CTCheck, target_phase: str) -> list[str]:
    """Return warnings about an image in another phase than the model's source phase."""
    reasons = ", ".join(check.reasons)
    if check.phase == ("native" if target_phase == "native" else "contrast"):
        found = "native CT" if target_phase == "native" else "contrast-enhanced CT"
        return [f"Found {found} already ({reasons}), expected the other phase. It was converted as requested."]
    if target_phase == "native" and check.timing.startswith("portal"):
        return [f"Found {check.timing} enhancement ({reasons}), expected the arterial phase of the models' training."]
    return []
