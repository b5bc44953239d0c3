"""Export a converted CT as a derived DICOM series of the source's study."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import JobSteps
from SynthRegLib.nodes import write_image_node

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.request import Request, Result

_KINDS = {"native": "native CT", "arterial": "arterial-phase CT"}
"""In the language of the headers, which is English."""


@dataclass(frozen=True)
class Exported:
    """folder: of the new series. slices: its files."""

    folder: Path
    slices: int
    warnings: list[str]


def source_files(node: slicer.vtkMRMLScalarVolumeNode) -> list[str]:
    """Return the files of the series from which `node` was loaded, as Slicer's DICOM database knows them; none if it
    does not."""
    instances = (node.GetAttribute("SynthReg.image.DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not instances:
        return []
    files = [database.fileForInstance(uid) for uid in instances]
    return files if all(file and os.path.isfile(file) for file in files) else []


def export_job(node: slicer.vtkMRMLScalarVolumeNode, source: str, destination: str) -> JobSteps:
    """Return the steps of an export; its value is Exported. source: folder of the DICOM series, "" for the database.
    destination: folder for the new one. Raises RequestError."""
    files = [] if source else source_files(node)
    if not source and not files:
        raise RequestError(
            _(
                "Found no DICOM series of {name} in Slicer's DICOM database, expected the source series. Choose the "
                "folder with that series."
            ).format(name=node.GetName())
        )
    if not Path(destination).is_dir() or not destination:
        raise RequestError(_("Found no export folder, expected one. Choose it."))
    folder = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))
    kind = node.GetAttribute("SynthReg.Contrast") or "native"
    out = _free(Path(destination), f"synthetic-{kind}-CT")

    def prepare() -> Generator[None, None, Request]:
        series = Path(source) if source else folder / "source"
        if files:
            series.mkdir()
            for n, file in enumerate(files):
                _link(file, series / f"{n:05d}.dcm")
                yield
        yield from write_image_node(node, folder, "image")
        summary_text = f"{_KINDS[kind]} by {node.GetAttribute('SynthReg.Model')}"
        inputs = {"image": str(folder / "image.nrrd"), "source": str(series)}
        return Request("export", inputs, str(out), {"description": summary_text})

    def loaded(result: Result) -> Exported:
        shutil.rmtree(folder, ignore_errors=True)
        return Exported(Path(result.outputs["dicom"]).parent, result.report["slices"], result.warnings)

    def place(exported: Exported) -> Generator[None, None, Exported]:
        yield
        return exported

    return JobSteps(prepare, loaded, place, folder)


def _free(folder: Path, name: str) -> Path:
    numbered = (folder / (name if n == 1 else f"{name}-{n}") for n in range(1, 10_000))
    return next(path for path in numbered if not path.exists())


def _link(file: str, path: Path) -> None:
    """Link a file under another name, or copy it where links are not possible."""
    try:
        os.link(file, path)
    except OSError:
        shutil.copyfile(file, path)
