"""Measures of one contrast conversion: changes in HU, preserved geometry, organs, and the error against a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.contrast.inputs import ContrastInputs
from SlicerSynthReg.contrast.pipeline import ConvertedImage
from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.axial_slices import AxialView
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.ct_check import check_ct
from SlicerSynthReg.metrics.ct_invariance import CTInvariance, measure_invariance
from SlicerSynthReg.metrics.ct_translation import organ_medians, slice_scores

BODY_HU = -300.0
FAT_HU = (-120.0, -80.0)
SOFT_HU = (-50.0, 150.0)
_REFERENCE_MEASURES = {
    "MAE, HU": "mae_hu",
    "SSIM": "ssim",
    "PSNR, dB": "psnr_db",
    "slice-to-slice error, HU": "through_plane_hu",
}


@dataclass(frozen=True)
class PhaseCheck:
    """Phases that input and output look like: "native", "contrast" or "unknown"."""

    input: str
    output: str


@dataclass(frozen=True)
class HUChange:
    """Absolute changes in HU. body_hu: mean over the body. unenhanced_hu: tissue that takes up no iodine -> median.
    cycle_hu: mean cycle-consistency error of soft tissue, None if not measured."""

    body_hu: float
    unenhanced_hu: dict[str, float]
    cycle_hu: float | None = None


@dataclass(frozen=True)
class BoundaryChange:
    """Boundaries of body, lung and gas in the output against the input. shift_mm: their displacement. sharpness: ratio
    of gradient magnitudes; below 1 is blurred."""

    shift_mm: float
    sharpness: float


@dataclass(frozen=True)
class OrganHU:
    """Median HU of one organ in the input, the output and the reference, and its number of voxels."""

    name: str
    before: float
    after: float
    voxels: int
    reference: float | None = None


@dataclass(frozen=True)
class NetworkUse:
    """nfe: network evaluations per slice, one direction. pixels: rows and columns of the network's slices."""

    nfe: int
    pixels: tuple[int, int]
    slices: int


@dataclass(frozen=True)
class ContrastMeasures:
    """boundaries: None if no boundary of the body is in view. reference: measure -> value of the output and of the
    input against the reference image, None without one."""

    network: NetworkUse
    phase: PhaseCheck
    change: HUChange
    boundaries: BoundaryChange | None
    organs: tuple[OrganHU, ...]
    reference: dict[str, float] | None


def evaluate_conversion(inputs: ContrastInputs, converted: ConvertedImage, single_slice: bool) -> ContrastMeasures:
    """Measure `converted` against its inputs on the same grid. single_slice: a preview, whose phase is not detected."""
    before, after = inputs.image.data[0], converted.image.data[0]
    view = AxialView.of(inputs.image.grid)
    invariance = _invariance(inputs.image, converted.image)
    return ContrastMeasures(
        network=NetworkUse(converted.nfe, converted.pixels, view.count(inputs.image.grid)),
        phase=PhaseCheck(inputs.phase, "unknown" if single_slice else _phase(converted.image, inputs.labels)),
        change=_hu_change(before, after, converted.cycle_error, invariance),
        boundaries=None if invariance is None else _boundary_change(invariance),
        organs=_organs(inputs, converted.image),
        reference=_reference(view, inputs, after),
    )


def _phase(image: Image, labels: Image | None) -> str:
    try:
        return check_ct(image, labels).phase
    except ImageError:  # the output is not CT: other measures show it
        return "unknown"


def _invariance(image: Image, converted: Image) -> CTInvariance | None:
    if min(image.grid.shape) == 1:
        return None
    try:
        return measure_invariance(image, converted)
    except ImageError:
        return None


def _boundary_change(invariance: CTInvariance) -> BoundaryChange:
    return BoundaryChange(math.hypot(*invariance.shift_mm), invariance.sharpness)


def _hu_change(
    before: torch.Tensor, after: torch.Tensor, cycle_error: Image | None, invariance: CTInvariance | None
) -> HUChange:
    change = (after - before).abs()
    body, fat, soft = (before > BODY_HU), _within(before, FAT_HU), _within(before, SOFT_HU)
    medians = {"fat": float(change[fat].median()) if fat.any() else math.nan}
    if invariance:
        medians |= {"dense bone": invariance.bone_hu, "air": invariance.air_hu}
    return HUChange(
        body_hu=float(change[body].mean()) if body.any() else 0.0,
        unenhanced_hu={name: value for name, value in medians.items() if not math.isnan(value)},
        cycle_hu=None if cycle_error is None or not soft.any() else float(cycle_error.data[0][soft].mean()),
    )


def _within(hu: torch.Tensor, bounds: tuple[float, float]) -> torch.Tensor:
    return (hu > bounds[0]) & (hu < bounds[1])


def _organs(inputs: ContrastInputs, converted: Image) -> tuple[OrganHU, ...]:
    if inputs.labels is None:
        return ()
    before, after = (organ_medians(image, inputs.labels) for image in (inputs.image, converted))
    reference = organ_medians(inputs.reference, inputs.labels) if inputs.reference else {}
    return tuple(
        OrganHU(name, item.hu, after[name].hu, item.voxels, reference[name].hu if name in reference else None)
        for name, item in before.items()
    )


def _reference(view: AxialView, inputs: ContrastInputs, after: torch.Tensor) -> dict[str, float] | None:
    if inputs.reference is None:
        return None
    reference = view.slices(inputs.reference.data[0])
    output, scan = (slice_scores(reference, view.slices(item)) for item in (after, inputs.image.data[0]))
    return {
        **{name: getattr(output, field) for name, field in _REFERENCE_MEASURES.items()},
        **{f"{name}, input": getattr(scan, field) for name, field in _REFERENCE_MEASURES.items()},
    }
