"""The context command: files in, in-context prediction, files out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from SlicerSynthReg.api.in_context import segment_by_examples
from SlicerSynthReg.parameters.examples import InContextParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome


def in_context_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Predict the target's output from the examples; write all files into `workspace`."""
    inputs = request.inputs
    result = segment_by_examples(
        [inputs[name] for name in ("target", "target2", "target3") if name in inputs],
        inputs["examples"],
        truth=inputs.get("truth"),
        parameters=InContextParameters(**request.parameters),
        progress=sub_progress(progress, 0.0, 0.95),
    )
    progress(0.96, "writing")
    return TaskOutcome(result.save(workspace), dataclasses.asdict(result.report), list(result.warnings))
