"""The finetune command: examples in, fine-tuned model, card, curve and logs out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from SlicerSynthReg.api.finetuning import fine_tune
from SlicerSynthReg.parameters.examples import FineTuneParameters
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome


def finetune_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Train a model and install it among the user's models; write card, curve and logs into `workspace`."""
    parameters = FineTuneParameters(**request.parameters)
    result = fine_tune(request.inputs["examples"], parameters=parameters, progress=progress)
    return TaskOutcome(result.save(workspace), asdict(result.report), list(result.warnings))
