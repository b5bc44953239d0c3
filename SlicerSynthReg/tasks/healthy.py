"""The healthy command: files in, healthy reconstruction, files out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from SlicerSynthReg.api.healthy import reconstruct_healthy
from SlicerSynthReg.parameters.derived_images import HealthyParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome


def healthy_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Reconstruct the healthy T1 of the input image; write all files into `workspace`."""
    parameters = HealthyParameters(**request.parameters)
    result = reconstruct_healthy(
        request.inputs["image"], parameters=parameters, progress=sub_progress(progress, 0.0, 0.9)
    )
    progress(0.92, "writing")
    return TaskOutcome(result.save(workspace), dataclasses.asdict(result.report), list(result.warnings))
