"""Parameters of commands that derive an image from one or two others. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.parameters.base import (
    DEVICE,
    INPUTS,
    OUTPUT,
    ComputeParameters,
    ImageParameters,
    model_parameter,
    parameter,
    series_parameter,
)

SOLVERS = {
    "euler": "Euler (best for the shipped model, 2 steps)",
    "midpoint": "Midpoint",
    "heun": "Heun (RK2; best in the paper)",
    "rk3": "RK3",
    "rk4": "RK4",
    "adams": "Adams-Bashforth (for many steps)",
    "adaptive": "Adaptive step size (slowest)",
}
"""Names of spatial.ode.METHODS -> text in panels; a test compares them."""


@dataclass(frozen=True)
class HealthyParameters(ImageParameters):
    """Pseudo-healthy reconstruction and anomaly map of a head scan."""

    model: str | None = model_parameter()
    grid: str = parameter(
        str,
        "1mm",
        "Grid of the results: 1 mm isotropic RAS around the brain, or the input's.",
        choices={"1mm": "1 mm isotropic", "input": "As the input"},
        group=OUTPUT,
        label="Output spacing",
    )
    modality: str = parameter(
        str,
        "auto",
        "Modality of the scan; CT is windowed to 0 to 80 HU; auto: by its values.",
        choices={"auto": "Automatic", "mr": "MR, any contrast", "ct": "CT (window 0 to 80 HU)"},
        group=INPUTS,
        label="Modality",
    )
    threshold: float = parameter(
        float,
        0.5,
        "Threshold of the anomaly map, at or above which a voxel is marked.",
        low=0.0,
        high=1.0,
        usual=(0.05, 0.95),
        group=OUTPUT,
        label="Threshold",
    )
    inpaint: bool = parameter(
        bool,
        False,
        "Write also the scan with abnormal voxels inpainted, in its own contrast, units and grid.",
        group=OUTPUT,
        label="Inpaint lesions",
    )
    mirror: str = parameter(
        str,
        "deformable",
        "Registration of the mirrored scan, whose other hemisphere guides the reconstruction; none: no mirroring.",
        choices={"deformable": "Deformable", "affine": "Affine (faster)", "none": "None"},
        label="Mirrored hemisphere",
    )


@dataclass(frozen=True)
class ContrastParameters(ImageParameters):
    """Conversion between native and contrast-enhanced CT."""

    target_phase: str = parameter(
        str,
        "native",
        "Contrast phase of the output.",
        choices={"native": "Virtual non-contrast (VNC)", "arterial": "Arterial phase"},
        group=OUTPUT,
        label="Target phase",
    )
    model: str | None = model_parameter()
    solver: str = parameter(
        str,
        "euler",
        "ODE solver of the flow; heun (RK2) is best in the paper, euler for the shipped model.",
        choices=SOLVERS,
        label="Solver",
    )
    steps: int = parameter(int, 2, "Steps of the solver.", low=1, high=1000, usual=(1, 100), label="Steps")
    cycle: bool = parameter(
        bool,
        True,
        "Convert back as well, and map the cycle error.",
        group=OUTPUT,
        label="Cycle-consistency error map",
    )
    slice: int | None = parameter(
        int, None, "Preview: convert this axial slice only (1 = lowest), as a volume of one slice.", low=1, group=OUTPUT
    )
    pixel_mm: float | None = parameter(
        float, None, "Smallest pixel size of the network's input in mm; default: the model's.", low=0.1
    )
    dicom: bool = parameter(
        bool, False, "Write the result also as a DICOM series; the input must be a DICOM folder.", group=OUTPUT
    )
    batch: int = parameter(
        int, 8, "Slices per forward pass; fewer need less memory.", low=1, changes_result=False, group=DEVICE
    )


@dataclass(frozen=True)
class FeaturesParameters(ImageParameters):
    """Extraction of a network's feature channels."""

    model: str | None = model_parameter("the installed feature network")
    spacing_mm: float | None = parameter(
        float, None, "Voxel size of the features; default: the model's.", low=0.3, high=10.0, group=OUTPUT
    )


@dataclass(frozen=True)
class TopologyParameters(ComputeParameters):
    """Detection of topological change between two aligned images."""

    model: str | None = model_parameter()
    threshold: float = parameter(
        float,
        98.0,
        "Threshold as a percentile of the map within the fixed image's foreground; voxels above it are marked.",
        low=50.0,
        high=100.0,
        group=OUTPUT,
        label="Threshold (percentile)",
    )


@dataclass(frozen=True)
class ExportParameters:
    """Export as a derived DICOM series. description: must not identify the patient."""

    description: str = parameter(
        str, "CT computed by a network", "Derivation description in a few words.", group=OUTPUT
    )
    series: str | None = series_parameter("source folder")
