"""The command `sequence`: frames in; every frame registered to one reference, its transform, and a report out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from SlicerSynthReg.api.sequence import register_sequence
from SlicerSynthReg.parameters.registration import SequenceParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome


def sequence_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Register every frame; every file lies in `workspace`. Raises RequestError if no frame can be registered."""
    parameters = SequenceParameters(**request.parameters)
    result = register_sequence(**request.inputs, parameters=parameters, progress=sub_progress(progress, 0.0, 0.93))
    outputs = result.save(workspace, sub_progress(progress, 0.93, 1.0))
    return TaskOutcome(outputs, dataclasses.asdict(result.report), list(result.warnings))
