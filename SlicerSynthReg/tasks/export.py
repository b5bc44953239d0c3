"""The export command: a computed CT and its source study in, a derived DICOM series out."""

from __future__ import annotations

from pathlib import Path

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.ct_series import check_ct_series
from SlicerSynthReg.io.dicom_export import write_derived_series
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.parameters.derived_images import ExportParameters
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome


def export_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Write the input CT as a derived series into `workspace`. Raises RequestError (dicom-source), ImageError."""
    parameters = ExportParameters(**request.parameters)
    source = Path(request.inputs["source"])
    if not source.is_dir():
        raise RequestError(
            "Found a file as source, expected the folder of the DICOM series that the new one refers to. Give the "
            "folder.",
            code="dicom-source",
        )
    progress(0.05, "reading the source series")
    warnings = check_ct_series(source, parameters.series).warnings
    image = read_image(request.inputs["image"])
    progress(0.4, "writing the series")
    files = write_derived_series(image, source, workspace / "dicom", parameters.description, parameters.series)
    report = {"slices": len(files), "description": parameters.description}
    return TaskOutcome({"dicom": str(files[0])}, report, list(warnings))
