"""A worker that takes bright voxels for a lesion and less bright ones for normal tissue, as slowly or badly as
SYNTHREG_TEST_MANNER says, and whose registration finds a known transform.

Started in the place of SynthRegLib.scene_worker, with the repository in PYTHONPATH."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from SynthRegLib.scene_worker import nodes_spec

from SlicerSynthReg.api.registration import Registration
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.service.worker import main
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
    behaviour = os.environ.get("SYNTHREG_TEST_MANNER", "")
    progress(0.05, "computing")
    if behaviour == "slow":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        progress(0.1, f"child {child.pid}")
    for step in range(600 if behaviour == "slow" else 4):
        progress(0.1 + step / 1000, "computing")
        time.sleep(0.1)
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
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


def register(fixed: Image, moving: Image, **more: Any) -> Registration:
    found = known_registration(known_map())(fixed, moving, **more)
    warning = f"Lesions were filled in: {more['parameters'].fill_lesions}."
    return replace(found, pipeline=replace(found.pipeline, warnings=(warning,)))


if __name__ == "__main__":
    main({"healthy_nodes": nodes_spec("healthy", reconstruct), "register_nodes": nodes_spec("register", register)})
