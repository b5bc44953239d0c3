"""A reconstruction and a registration with known results, of images in memory. Runs in the worker process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from SlicerSynthReg.api.registration import Registration
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress
from Testing.Slicer.answers import known_map, known_registration

LESION, NORMAL = 400.0, 100.0


@dataclass(frozen=True)
class Report:
    """The parts of a HealthyReport that the panel shows."""

    run: dict[str, Any]
    anomaly: dict[str, Any]
    brain_ml: float = 50.0


@dataclass(frozen=True, eq=False)
class KnownReconstruction:
    images: dict[str, Image]
    report: Report
    warnings: tuple[str, ...] = ("The slices are 6.0 mm apart: between them the reconstruction is interpolated.",)

    def save(self, folder: Path, images: bool = True) -> dict[str, str]:
        (folder / "report.html").write_text("<html>Not for diagnosis.</html>")
        return {"page": "report.html"}


def reconstruct(inputs: dict[str, Any], parameters: dict[str, Any], progress: Progress) -> KnownReconstruction:
    scan = inputs["image"]
    grid = scan.grid if parameters["grid"] == "input" else scan.grid.aligned_to_ras(1.0)
    values = scan.resampled(grid).data
    anomaly = 0.9 * (values > LESION) + 0.3 * ((values > NORMAL) & (values <= LESION))
    mask = (anomaly >= parameters["threshold"]).to(torch.uint8)
    images = {
        "healthy": Image(values.clamp(max=200) / 250, grid),
        "anomaly": Image(anomaly, grid),
        "segmentation": Image(mask, grid, "labels"),
        "difference": Image(anomaly * 2, grid),
        "confidence": Image((values > NORMAL).float() * (1 - anomaly), grid),
    }
    if parameters["mirror"] != "none":
        images["mirrored"] = Image(values.flip(1), grid)
    ml = float(mask.sum()) * float(grid.spacing.prod()) / 1000
    run = {"model": "by hand", "stages": {}, "parameters": {"threshold": parameters["threshold"]}}
    anomalies = {"anomaly_ml": ml, "components": 1, "largest_ml": ml, "largest_centre_mm": (14.0, -4.0, 5.0)}
    return KnownReconstruction(images, Report(run, anomalies))


def register(fixed: Image, moving: Image, **options: Any) -> Registration:
    found = known_registration(known_map())(fixed, moving, **options)
    warning = f"Lesions were filled in: {options['parameters'].fill_lesions}."
    return replace(found, pipeline=replace(found.pipeline, warnings=(warning,)))
