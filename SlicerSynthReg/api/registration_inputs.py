"""Reading of the inputs of a registration from files or objects in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from SlicerSynthReg.api.images import ImageLike, as_image, as_landmarks, as_transform
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.parameters.registration import FileParameters, RegisterParameters
from SlicerSynthReg.registration.inputs import RegistrationInputs, check_registration_inputs


def read_inputs(given: Mapping[str, Any], parameters: RegisterParameters) -> RegistrationInputs:
    """Return the inputs named as in `register`, read and checked. Raises ImageError, GeometryError, OSError."""
    images: dict[str, Any] = {
        name: as_image(
            given[name],
            frame=getattr(parameters, f"{name}_frame"),
            series=getattr(parameters, f"{name}_series"),
            **parameters.read_options(),
        )
        for name in ("fixed", "moving")
    }
    for name in ("fixed_labels", "moving_labels", "fixed_mask", "moving_mask"):
        if given.get(name) is not None:
            images[name] = read_labels(given[name], parameters)
    for name in ("fixed_landmarks", "moving_landmarks"):
        if given.get(name) is not None:
            images[name] = as_landmarks(given[name])
    if given.get("initial_transform") is not None:
        images["initial_transform"] = as_transform(given["initial_transform"], images["fixed"].grid)
    inputs = RegistrationInputs(**images)
    check_registration_inputs(inputs)
    return inputs


def read_labels(source: ImageLike, parameters: FileParameters) -> Image:
    """Return a label map or mask. Raises ImageError, OSError."""
    return as_image(source, "labels", assume_geometry=parameters.assume_geometry, allow_degenerate=True)
