"""The export task: a computed CT in; the same as a derived DICOM series of the study it came from, out."""

from __future__ import annotations

from pathlib import Path

from SlicerSynthReg.request import Progress, Request, RequestError, TaskOutcome
from SlicerSynthReg.tasks.export_parameters import ExportParameters
from SlicerSynthReg.volume.ct_series import check_ct_series
from SlicerSynthReg.volume.dicom_export import write_derived_series
from SlicerSynthReg.volume.read import read_volume


def export_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """One series; every file lies in `workspace`."""
    parameters = ExportParameters(**request.parameters)
    source = Path(request.inputs["source"])
    if not source.is_dir():
        raise RequestError(
            "Found a file as source, expected the folder with the DICOM series that the new one is to refer to. Give "
            "the folder."
        )
    progress(0.05, "reading the source series")
    warnings = check_ct_series(source, parameters.series).warnings
    image = read_volume(request.inputs["image"])
    progress(0.4, "writing the series")
    files = write_derived_series(image, source, workspace / "dicom", parameters.description, parameters.series)
    report = {"slices": len(files), "description": parameters.description}
    return TaskOutcome({"dicom": str(files[0])}, report, list(warnings))
