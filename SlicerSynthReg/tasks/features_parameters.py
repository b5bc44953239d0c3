"""What can be chosen when an image's features are asked for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import ImageParameters, parameter


@dataclass(frozen=True)
class FeaturesParameters(ImageParameters):
    """Whose features, at which voxel size, and what the image is forgiven."""

    model: str | None = parameter(
        str, None, "Name of the model whose features are taken; default: the installed feature network."
    )
    spacing_mm: float | None = parameter(
        float, None, "Voxel size of the features; default: the model's.", low=0.3, high=10.0
    )
