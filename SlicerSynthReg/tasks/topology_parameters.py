"""What can be chosen when topological change is looked for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import ComputeParameters, parameter


@dataclass(frozen=True)
class TopologyParameters(ComputeParameters):
    """How the places that no smooth warp explains are found and marked."""

    model: str | None = parameter(str, None, "Name of the model (see `synthreg models`); default: the one that ships.")
    threshold: float = parameter(
        float, 98.0, "Percentile of the map within the fixed image's foreground, above which a voxel is marked.",
        low=50.0, high=100.0,
    )  # fmt: skip
