"""The contrast task: a native or contrast CT in; the other kind, synthetic, with its cycle error and a report, out."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import torch

from SlicerSynthReg.evaluate.ct import slice_scores
from SlicerSynthReg.evaluate.ct_check import check_ct
from SlicerSynthReg.evaluate.ct_invariance import Invariance, invariance
from SlicerSynthReg.evaluate.organs_hu import organ_medians
from SlicerSynthReg.methods.mfm.model import ContrastModel
from SlicerSynthReg.methods.mfm.solution import Solution
from SlicerSynthReg.methods.mfm.translate import TranslateConfig, Translation, translate
from SlicerSynthReg.report.contrast import ContrastReport, OrganValues, contrast_page
from SlicerSynthReg.report.contrast_picture import contrast_picture
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.request import Progress, Request, RequestError, TaskOutcome, shown_name
from SlicerSynthReg.tasks.contrast_inputs import Inputs, read_inputs
from SlicerSynthReg.tasks.contrast_parameters import ContrastParameters
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.loaded import loaded
from SlicerSynthReg.tasks.machine import peak_memory_mb, version_of_synthreg
from SlicerSynthReg.tasks.model import contrast_card
from SlicerSynthReg.tasks.parameters import recorded
from SlicerSynthReg.tasks.stopwatch import Stopwatch
from SlicerSynthReg.volume.axial import AxialView, axial_slab
from SlicerSynthReg.volume.dicom_export import write_derived_series
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.volume.write import write_volume

BODY_HU = -300.0
FAT_HU = (-120.0, -80.0)
SOFT_HU = (-50.0, 150.0)


def contrast_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Run one translation; every file lies in `workspace`."""
    parameters = ContrastParameters(**request.parameters)
    device = set_up(parameters).type
    card = contrast_card(parameters.model)
    watch = Stopwatch(progress)
    watch.stage("reading", 0.01)
    model = loaded(ContrastModel, card).to(device)
    if parameters.to not in model.directions:
        raise RequestError(
            f"Found that {card.name} makes {model.directions[0]} CT only, expected a model for {parameters.to}. "
            "Choose another model."
        )
    inputs = read_inputs(request, parameters)
    watch.stage("translating", 0.06)
    config = TranslateConfig(
        parameters.to,
        Solution(parameters.solver, parameters.steps),
        parameters.pixel_mm or card.spacing_mm,
        parameters.cycle,
        parameters.batch,
        half=device == "cuda",
        only=None if parameters.slice is None else parameters.slice - 1,
    )
    found = translate(
        model, inputs.image, config, lambda share: progress(0.06 + 0.8 * share, f"making {parameters.to}")
    )
    if config.only is not None:
        inputs = _only(inputs, config.only)
    watch.stage("writing", 0.87)
    outputs = _write(parameters, found, workspace)
    if parameters.dicom:
        source = Path(request.inputs["image"])
        told = f"{parameters.to} CT by {card.name}"
        files = write_derived_series(found.image, source, workspace / "dicom", told, parameters.series)
        outputs["dicom"] = str(files[0])
    watch.stage("measuring", 0.95)
    report = _measured(request, parameters, inputs, found, card.name, device)
    watch.end()
    report = dataclasses.replace(report, stages={name: round(s, 3) for name, s in watch.seconds.items()})
    (workspace / "contrast.json").write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n", encoding="utf-8")
    outputs["record"] = "contrast.json"
    if parameters.slice is None:  # a preview is waited for
        picture = png_bytes(contrast_picture(inputs.image, found.image, parameters.to, found.cycle))
        (workspace / "picture.png").write_bytes(picture)
        write_page(contrast_page(report, picture, card), workspace / "report.html")
        outputs |= {"picture": "picture.png", "page": "report.html"}
    return TaskOutcome(outputs, dataclasses.asdict(report), list(report.warnings))


def _only(inputs: Inputs, at: int) -> Inputs:
    """Everything cut to the one slice that was asked for."""

    def cut(volume: Volume | None) -> Volume | None:
        return volume and axial_slab(volume, at, at + 1)

    image = axial_slab(inputs.image, at, at + 1)
    return dataclasses.replace(inputs, image=image, labels=cut(inputs.labels), truth=cut(inputs.truth))


def _write(parameters: ContrastParameters, found: Translation, folder: Path) -> dict[str, str]:
    outputs = {"image": f"synthetic_{parameters.to}.nii.gz"}
    write_volume(found.image, folder / outputs["image"])
    if found.cycle is not None:
        outputs["cycle"] = "cycle_error.nii.gz"
        write_volume(found.cycle, folder / outputs["cycle"])
    return outputs


def _measured(
    request: Request, parameters: ContrastParameters, inputs: Inputs, found: Translation, model: str, device: str
) -> ContrastReport:
    before, after = inputs.image.data[0], found.image.data[0]
    change = (after - before).abs()
    body = before > BODY_HU
    fat = (before > FAT_HU[0]) & (before < FAT_HU[1])
    borders = _borders(inputs.image, found.image)
    soft = (before > SOFT_HU[0]) & (before < SOFT_HU[1])
    view = AxialView.of(inputs.image.grid)
    return ContrastReport(
        image=shown_name(request.inputs["image"]),
        to=parameters.to,
        model=model,
        config={k: v for k, v in recorded(ContrastParameters, request.parameters).items() if v is not None},
        stages={},
        evaluations=found.evaluations,
        pixels=found.pixels,
        slices=inputs.image.grid.shape[view.order[0]],
        change_hu=float(change[body].mean()) if body.any() else 0.0,
        kept_hu=_kept(float(change[fat].median()) if fat.any() else math.nan, borders),
        shift_mm=math.hypot(*borders.shift_mm) if borders else None,
        sharpness=borders.sharpness if borders else None,
        cycle_hu=None if found.cycle is None or not soft.any() else float(found.cycle.data[0][soft].mean()),
        phase=inputs.phase,
        phase_made="unknown" if parameters.slice else _phase(found.image, inputs.labels),
        organs=_organs(inputs, found.image),
        truth=_truth(view, inputs, after),
        warnings=inputs.warnings,
        peak_memory_mb=peak_memory_mb(),
        device=device,
        version=version_of_synthreg(),
    )


def _phase(made: Volume, labels: Volume | None) -> str:
    """What the result looks like to whoever does not know how it was made."""
    try:
        return check_ct(made, labels).phase
    except VolumeError:  # a model that makes no CT: its figures tell
        return "unknown"


def _borders(image: Volume, made: Volume) -> Invariance | None:
    """None where no border of the body is in view, or only one slice."""
    if min(image.grid.shape) == 1:
        return None
    try:
        return invariance(image, made)
    except VolumeError:
        return None


def _kept(fat_hu: float, borders: Invariance | None) -> dict[str, float]:
    """Median |change| of tissues that iodine does not reach, those that are not in view left out."""
    found = {"fat": fat_hu, **({"dense bone": borders.bone_hu, "air": borders.air_hu} if borders else {})}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _organs(inputs: Inputs, made: Volume) -> tuple[OrganValues, ...]:
    if inputs.labels is None:
        return ()
    before, after = (organ_medians(volume, inputs.labels) for volume in (inputs.image, made))
    truth = organ_medians(inputs.truth, inputs.labels) if inputs.truth else {}
    return tuple(
        OrganValues(name, one.hu, after[name].hu, one.voxels, truth[name].hu if name in truth else None)
        for name, one in before.items()
    )


def _truth(view: AxialView, inputs: Inputs, after: torch.Tensor) -> dict[str, float] | None:
    if inputs.truth is None:
        return None
    truth = view.slices(inputs.truth.data[0])
    made, before = (slice_scores(truth, view.slices(one)) for one in (after, inputs.image.data[0]))
    names = {"MAE, HU": "mae_hu", "SSIM": "ssim", "PSNR, dB": "psnr_db", "slice-to-slice error, HU": "through_hu"}
    return {
        **{name: getattr(made, field) for name, field in names.items()},
        **{f"{name}, scan untouched": getattr(before, field) for name, field in names.items()},
    }
