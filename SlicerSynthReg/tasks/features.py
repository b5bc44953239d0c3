"""The features command: an image in, its dense features out, for other programs to compare."""

from __future__ import annotations

from pathlib import Path

from SlicerSynthReg.api.features import extract_features
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.parameters.derived_images import FeaturesParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.weights.selection import features_card


def features_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Write the features of the image as one 4-D file, a channel per volume."""
    parameters = FeaturesParameters(**request.parameters)
    features = extract_features(
        request.inputs["image"], parameters=parameters, progress=sub_progress(progress, 0.0, 0.8)
    )
    progress(0.82, "writing")
    write_image(features, workspace / "features.nii.gz")
    report = {
        "model": features_card(parameters.model).name,
        "channels": len(features.data),
        "spacing_mm": float(features.grid.spacing[0]),
    }
    return TaskOutcome({"features": "features.nii.gz"}, report, [])
