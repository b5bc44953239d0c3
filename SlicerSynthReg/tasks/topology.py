"""The topology command: two aligned images in, maps of topological change out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from SlicerSynthReg.api.topology import topological_change
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.files import image_files
from SlicerSynthReg.parameters.derived_images import TopologyParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome


def topology_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Compute the topological change of the fixed image given the moving one; write all maps into `workspace`."""
    inputs = request.inputs
    result = topological_change(
        inputs["fixed"],
        inputs["moving"],
        transform=inputs.get("transform"),
        controls=control_images(inputs["controls"]) if "controls" in inputs else (),
        parameters=TopologyParameters(**request.parameters),
        progress=sub_progress(progress, 0.0, 0.9),
    )
    progress(0.92, "writing")
    return TaskOutcome(result.save(workspace), dataclasses.asdict(result.report), list(result.warnings))


def control_images(source: str) -> list[Path]:
    """Return the image files of a folder. Raises RequestError (code "too-few-controls") for fewer than two."""
    folder = Path(source)
    paths = image_files(folder) if folder.is_dir() else []
    if len(paths) < 2:
        raise RequestError(
            f"Found {len(paths)} control images, expected a folder with two or more of healthy subjects, aligned with "
            "the fixed image.",
            code="too-few-controls",
        )
    return paths
