"""A worker that takes what is bright for sick and what is less bright for healthy, as slowly or badly as
SYNTHREG_TEST_MANNER says; and that registers with a known map. Started in the place of SynthRegLib.scene_worker, with
the repository in PYTHONPATH."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from SynthRegLib.scene_worker import nodes_spec

from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.worker import main
from Testing.Slicer.answers import answering, known_map

SICK, WELL = 400.0, 100.0


def heal(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    manner = os.environ.get("SYNTHREG_TEST_MANNER", "")
    progress(0.05, "computing")
    if manner == "slow":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        progress(0.1, f"child {child.pid}")
    for step in range(600 if manner == "slow" else 4):
        progress(0.1 + step / 1000, "computing")
        time.sleep(0.1)
    if manner == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    scan = read_volume(request.inputs["image"])
    grid = scan.grid if request.parameters["grid"] == "input" else scan.grid.aligned_to_ras(1.0)
    seen = scan.resampled(grid).data
    anomaly = 0.9 * (seen > SICK) + 0.3 * ((seen > WELL) & (seen <= SICK))
    marked = (anomaly >= request.parameters["threshold"]).to(torch.uint8)
    made = {
        "healthy": Volume(seen.clamp(max=200) / 250, grid),
        "anomaly": Volume(anomaly, grid),
        "segmentation": Volume(marked, grid, "labels"),
        "difference": Volume(anomaly * 2, grid),
        "confidence": Volume((seen > WELL).float() * (1 - anomaly), grid),
    }
    if request.parameters["mirror"] != "none":
        made["mirrored"] = Volume(seen.flip(1), grid)
    for name, volume in made.items():
        write_volume(volume, workspace / f"{name}.nii.gz")
    (workspace / "report.html").write_text("<html>Not for diagnosis.</html>")
    ml = float(marked.sum()) * float(grid.spacing.prod()) / 1000
    report = {"model": "by hand", "brain_ml": 50.0, "anomaly_ml": ml, "pieces": 1, "largest_ml": ml}
    report["largest_at_mm"] = [14.0, -4.0, 5.0]
    report["config"] = {"threshold": request.parameters["threshold"]}
    outputs = {name: f"{name}.nii.gz" for name in made} | {"page": "report.html"}
    return TaskOutcome(outputs, report, ["The slices are 6.0 mm apart: between them the reconstruction is a guess."])


def register(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    outcome = answering(known_map())(request, workspace, progress)
    through = request.parameters["through_healthy"]
    return TaskOutcome(outcome.outputs, outcome.report, [f"Aligned through the healthy anatomy of: {through}."])


if __name__ == "__main__":
    main({"healthy_nodes": nodes_spec("healthy", heal), "register_nodes": nodes_spec("register", register)})
