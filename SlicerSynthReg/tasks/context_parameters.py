"""What can be chosen for a task that is given by examples. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import ComputeParameters, parameter

PLANES = {"sagittal": (0,), "coronal": (1,), "axial": (2,), "all": (0, 1, 2)}
"""Axes of an upright (RAS) grid across which slices are cut."""


@dataclass(frozen=True)
class ContextParameters(ComputeParameters):
    """How the examples are applied to the target."""

    model: str | None = parameter(str, None, "Name of the model (see `synthreg models`); default: the one that ships.")
    answer: str = parameter(
        str, "auto", "What the examples' outputs are: auto looks at them.", choices=("auto", "labels", "image")
    )
    labels: str = parameter(str, "", "Label values to find, with commas between them; default: all of the examples.")
    absent: bool = parameter(
        bool, False, "A label that an example with other labels lacks is truly not there, rather than not drawn."
    )
    way: str = parameter(
        str,
        "auto",
        "Who answers: the network; patches of the examples that look alike; or the mixture that suits the examples.",
        choices=("auto", "network", "patches"),
    )
    plane: str = parameter(str, "axial", "Slices are cut in this plane; all: in three, averaged.", choices=(*PLANES,))
    spread: int = parameter(int, 1, "So many slices above and below of every example are examples too.", low=0, high=4)
    neighbours: bool = parameter(
        bool, False, "Show the network the slices above and below too, where there is a single image."
    )
    size: int = parameter(
        int, 8, "Examples each slice is asked with; fewer are repeated, slightly moved.", low=1, high=64
    )
    alignment: str = parameter(
        str,
        "affine",
        "How images are brought together: registered, linearly or bent too; by their headers; or by their centres.",
        choices=("affine", "deformable", "header", "centre"),
    )
    spacing_mm: float | None = parameter(
        float, None, "Pixel size of the network's slices; default: the examples', 0.9 to 2.1.", low=0.2, high=5.0
    )
    samples: int = parameter(
        int, 0, "Ask so many times again with half of the examples, to rank cases by doubt.", low=0, high=32
    )
    readout: bool = parameter(
        bool, True, "Fit the network's last step to the examples: no training, some seconds, clearly better answers."
    )
    check_examples: bool = parameter(bool, True, "Ask the other examples about each one, and warn of contradictions.")
