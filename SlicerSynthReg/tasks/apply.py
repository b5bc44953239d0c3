"""The command `apply`: a saved transform applied to an image, a label map or landmarks."""

from __future__ import annotations

from pathlib import Path

from SlicerSynthReg.api.apply import apply_to_landmarks, apply_transform
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.landmarks import write_landmarks
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.parameters.registration import ApplyParameters
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome


def apply_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Apply the transform T, reference RAS mm -> image RAS mm: moved(x) = image(T(x)); a landmark y of the image is
    moved to the x with T(x) = y. Raises RequestError (code "nothing-to-move")."""
    parameters = ApplyParameters(**request.parameters)
    inputs, geometry = request.inputs, parameters.assume_geometry
    if not {"image", "labels", "landmarks"} & set(inputs):
        raise RequestError(
            "Found nothing to move, expected an image, a label map or landmarks. Add at least one.",
            code="nothing-to-move",
        )
    grid = read_image(inputs["reference"], assume_geometry=geometry, allow_degenerate=True).grid
    transform = read_transform(inputs["transform"], grid)
    outputs, warnings = {}, []
    for fraction, (name, kind) in zip((0.2, 0.6), (("image", "scalar"), ("labels", "labels"))):
        if name in inputs:
            progress(fraction, f"moving the {name}")
            image = read_image(inputs[name], kind, assume_geometry=geometry, allow_degenerate=True)
            moved = apply_transform(image, transform, grid, kind=kind)
            if bool((image.data != 0).any()) and not bool((moved.data != 0).any()):
                warnings.append(
                    f"The moved {name} is empty. Check that the transform maps the reference to the {name}."
                )
            outputs[name] = f"moved_{name}.nii.gz"
            write_image(moved, workspace / outputs[name])
    if "landmarks" in inputs:
        progress(0.9, "moving the landmarks")
        landmarks, found = apply_to_landmarks(
            inputs["landmarks"], transform, grid, inverse=parameters.inverse_landmarks
        )
        if not found.all():
            lost = ", ".join(label for label, here in zip(landmarks.labels, found) if not here)
            warnings.append(f"No point of the reference maps to the landmarks {lost}. The nearest point is given.")
        outputs["landmarks"] = "moved_landmarks.csv"
        write_landmarks(landmarks, workspace / outputs["landmarks"])
    return TaskOutcome(outputs, {"voxels": grid.voxel_count}, warnings)
