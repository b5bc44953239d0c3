"""The segment command: an image in, the label map of a fine-tuned model and its uncertainty out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from SlicerSynthReg.api.segmentation import segment
from SlicerSynthReg.parameters.examples import SegmentParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome


def segment_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Segment the image; write label map and uncertainty into `workspace`."""
    result = segment(
        request.inputs["image"],
        truth=request.inputs.get("truth"),
        parameters=SegmentParameters(**request.parameters),
        progress=sub_progress(progress, 0.0, 0.9),
    )
    progress(0.92, "writing")
    return TaskOutcome(result.save(workspace), asdict(result.report), list(result.warnings))
