"""The command `register`: files in; moved image and labels, both transforms, Jacobian, picture and report out."""

from __future__ import annotations

from pathlib import Path

from SlicerSynthReg.api.registration import register
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome


def register_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Run one registration; every file lies in `workspace`."""
    parameters = RegisterParameters(**request.parameters)
    result = register(**request.inputs, parameters=parameters, progress=sub_progress(progress, 0.0, 0.86))
    outputs = result.save(workspace, sub_progress(progress, 0.86, 1.0))
    return TaskOutcome(outputs, result.report.to_dict(), list(result.warnings))
