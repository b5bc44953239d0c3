"""Conversion between native and contrast-enhanced CT in memory: `convert_contrast`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SlicerSynthReg.api.images import ImageLike, as_image, image_name
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.api.run_record import run_record
from SlicerSynthReg.contrast.config import SolverConfig
from SlicerSynthReg.contrast.evaluation import evaluate_conversion
from SlicerSynthReg.contrast.inputs import NO_HEADERS, ContrastInputs, check_ct_inputs, check_slice
from SlicerSynthReg.contrast.mfm import ContrastModel
from SlicerSynthReg.contrast.pipeline import ConversionConfig, convert
from SlicerSynthReg.errors import ImageError, RequestError, Suggestion
from SlicerSynthReg.io.ct_series import check_ct_series
from SlicerSynthReg.io.dicom_export import write_derived_series
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_images
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress
from SlicerSynthReg.report.contrast import ContrastReport, contrast_page, contrast_picture
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.registry import Card
from SlicerSynthReg.weights.selection import contrast_card


@dataclass(frozen=True, eq=False)
class ContrastConversion:
    """Result of `convert_contrast`; all images in HU on one grid.

    scan: the input, or its slice in a preview. converted: synthetic CT of the target phase. cycle_error: absolute
    cycle-consistency error, None if not computed. source: the input's path, if it had one.
    """

    scan: Image
    converted: Image
    cycle_error: Image | None
    report: ContrastReport
    parameters: ContrastParameters
    card: Card
    source: Path | None

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.report.warnings

    @property
    def images(self) -> dict[str, Image]:
        """Every image of the result by its output name."""
        images = {"image": self.converted, "cycle": self.cycle_error}
        return {name: image for name, image in images.items() if image is not None}

    def save(self, folder: str | os.PathLike[str], images: bool = True) -> dict[str, str]:
        """Write images, picture, page and record, and the DICOM series if requested, into `folder`; return output name
        -> file. images: whether to write the image files. A preview of one slice has no picture and no page. Raises
        OSError, ImageError."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        phase = self.report.target_phase
        names = {"image": f"synthetic_{phase}.nii.gz", "cycle": "cycle_error.nii.gz"}
        files = {"record": "contrast.json"} | (write_images(self.images, folder, names) if images else {})
        if self.parameters.dicom and self.source is not None:
            files["dicom"] = str(self._write_dicom(self.source, folder / "dicom"))
        record = json.dumps(dataclasses.asdict(self.report), indent=2) + "\n"
        (folder / "contrast.json").write_text(record, encoding="utf-8")
        if self.parameters.slice is None:
            picture = png_bytes(contrast_picture(self.scan, self.converted, phase, self.cycle_error))
            (folder / "picture.png").write_bytes(picture)
            write_page(contrast_page(self.report, picture, self.card), folder / "report.html")
            files |= {"picture": "picture.png", "page": "report.html"}
        return files

    def _write_dicom(self, source: Path, folder: Path) -> Path:
        description = f"{self.report.target_phase} CT by {self.card.name}"
        return write_derived_series(self.converted, source, folder, description, self.parameters.series)[0]


def convert_contrast(
    image: ImageLike,
    target_phase: str | None = None,
    *,
    labels: ImageLike | None = None,
    truth: ImageLike | None = None,
    parameters: ContrastParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> ContrastConversion:
    """Convert CT of the abdomen to another contrast phase (MFM).

    image: CT in HU, anything `as_image` takes. target_phase: "native" or "arterial"; default: that of `parameters`.
    labels: label map of organs, truth: CT of the target phase, both on the grid of `image`; the HU of organs and the
    error are then reported. options: fields of ContrastParameters.
    Raises ImageError (not-hounsfield), GeometryError (grid-mismatch), RequestError (target-phase, slice-range,
    dicom-source), WeightsError.
    """
    if target_phase is not None:
        options["target_phase"] = target_phase
    parameters = resolve_parameters(ContrastParameters, parameters, options)
    device = select_device(parameters.device, parameters.threads).type
    card = contrast_card(parameters.model)
    watch = Stopwatch(progress)
    watch.stage("reading", 0.01)
    model = load_network(ContrastModel, card).to(device)
    if parameters.target_phase not in model.target_phases:
        raise RequestError(
            f"Found that {card.name} synthesises {model.target_phases[0]} CT only, expected a model for "
            f"{parameters.target_phase}. Choose another model.",
            code="target-phase",
        )
    inputs = _read_inputs(image, labels, truth, parameters)
    watch.stage("converting", 0.06)
    config = ConversionConfig(
        parameters.target_phase,
        SolverConfig(parameters.solver, parameters.steps),
        parameters.pixel_mm or card.spacing_mm,
        parameters.cycle,
        parameters.batch,
        half=device == "cuda",
        only_slice=None if parameters.slice is None else parameters.slice - 1,
    )
    text = f"synthesising {parameters.target_phase} CT"
    converted = convert(model, inputs.image, config, lambda fraction: progress(0.06 + 0.8 * fraction, text))
    if config.only_slice is not None:
        inputs = inputs.slice(config.only_slice)
    watch.stage("measuring", 0.87)
    measures = evaluate_conversion(inputs, converted, config.only_slice is not None)
    watch.end()
    report = ContrastReport(
        image_name=image_name(image, "image"),
        target_phase=parameters.target_phase,
        run=run_record(card.name, parameters, watch.seconds, device),
        warnings=inputs.warnings,
        **vars(measures),
    )
    source = Path(image) if isinstance(image, (str, os.PathLike)) else None
    return ContrastConversion(inputs.image, converted.image, converted.cycle_error, report, parameters, card, source)


def _read_inputs(
    image: ImageLike, labels: ImageLike | None, truth: ImageLike | None, parameters: ContrastParameters
) -> ContrastInputs:
    path = Path(image) if isinstance(image, (str, os.PathLike)) else None
    _check_dicom(path, parameters)
    headers = NO_HEADERS
    if path is not None and path.is_dir():
        with _named(path):
            headers = check_ct_series(path, parameters.series)
    scan = as_image(image, frame=parameters.frame, series=parameters.series, **parameters.read_options())
    organs = None if labels is None else as_image(labels, "labels", allow_degenerate=True)
    reference = None if truth is None else as_image(truth)
    check_slice(scan, parameters.slice)
    with _named(path):
        return check_ct_inputs(scan, parameters.target_phase, organs, reference, headers)


def _check_dicom(path: Path | None, parameters: ContrastParameters) -> None:
    """Raise RequestError (dicom-source) if a DICOM series is requested that has no source series to refer to."""
    if not parameters.dicom:
        return
    no_dicom = Suggestion("dicom", False, "write no DICOM")
    if path is None or not path.is_dir():
        raise RequestError(
            f"Found {'an image in memory' if path is None else 'a file'}, expected the folder of the DICOM series that "
            "the new one refers to. Give the folder.",
            suggestion=no_dicom,
            code="dicom-source",
        )
    if parameters.slice is not None:
        raise RequestError(
            "Found dicom with a preview of one slice, expected the whole series.",
            suggestion=no_dicom,
            code="dicom-source",
        )


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Add the input's path to an ImageError."""
    try:
        yield
    except ImageError as error:
        if path is None or error.path is not None:
            raise
        raise ImageError(error.text, error.suggestion, path, code=error.code) from error
