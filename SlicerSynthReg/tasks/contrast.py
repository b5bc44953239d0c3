"""The contrast command: files in, conversion between native and contrast-enhanced CT, files out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from SlicerSynthReg.api.contrast import convert_contrast
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome


def contrast_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Convert the input CT; write all files into `workspace`."""
    inputs = request.inputs
    result = convert_contrast(
        inputs["image"],
        labels=inputs.get("labels"),
        truth=inputs.get("truth"),
        parameters=ContrastParameters(**request.parameters),
        progress=sub_progress(progress, 0.0, 0.94),
    )
    progress(0.95, "writing")
    return TaskOutcome(result.save(workspace), dataclasses.asdict(result.report), list(result.warnings))
