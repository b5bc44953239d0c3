"""What can be chosen for a translation between native and contrast CT. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import ImageParameters, parameter

SOLVERS = ("euler", "midpoint", "heun", "rk3", "rk4", "adams", "adaptive")
"""Of space.ode.METHODS, which adds other names for the same; a test compares them."""


@dataclass(frozen=True)
class ContrastParameters(ImageParameters):
    """What is made, how, and what the input is forgiven."""

    to: str = parameter(str, "native", "What to make of the image.", choices=("native", "contrast"))
    model: str | None = parameter(str, None, "Name of the model (see `synthreg models`); default: the one that ships.")
    solver: str = parameter(
        str, "euler", "How the flow is followed; heun (RK2) is the paper's best, euler the shipped model's.",
        choices=SOLVERS,
    )  # fmt: skip
    steps: int = parameter(int, 2, "Steps of the solver.", low=1, high=1000)
    cycle: bool = parameter(bool, True, "Translate back as well, and map the error.")
    slice: int | None = parameter(
        int, None, "Preview: make this axial slice only (1 is the lowest), as a volume of one slice.", low=1
    )
    pixel_mm: float | None = parameter(
        float, None, "Pixels that the network sees, in mm, if the image's are finer; default: the model's.", low=0.1
    )
    dicom: bool = parameter(bool, False, "Write the result as a DICOM series too; the input must be a DICOM folder.")
    batch: int = parameter(int, 8, "Slices at once; fewer need less memory.", low=1, changes_result=False)
