"""What can be chosen for fine-tuning a segmentation model, and for applying it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import ComputeParameters, ImageParameters, parameter


@dataclass(frozen=True)
class FineTuneParameters(ComputeParameters):
    """What is trained, from where, and for how long."""

    model_name: str = parameter(str, "my-model", "Name of the new model, as the lists of models will show it.")
    start: str = parameter(str, "synthmorph-brains", "Model whose features it starts from; none: from nothing.")
    minutes: float = parameter(float, 20.0, "Time for training; if stopped, it goes on.", low=0.02, high=1440.0)
    left_out: int = parameter(int, 1, "So many examples, the last, choose the best state and score it.", low=0, high=50)
    labels: str = parameter(str, "", "Label values to learn, with commas between them; default: all of the examples.")
    absent: bool = parameter(
        bool, False, "A label that an example with other labels lacks is truly not there, rather than not drawn."
    )
    spacing_mm: float | None = parameter(
        float, None, "Voxel size of the model; default: the examples', 1 to 4.", low=0.3, high=5.0
    )
    crop: int = parameter(int, 64, "Voxels along an edge of the crops it learns from.", low=16, high=160)
    crops: int = parameter(int, 1, "Crops a step.", low=1, high=16)
    learning_rate: float = parameter(
        float, 2e-3, "Learning rate of Adam at its highest; five times that for last layers.", low=1e-6, high=0.1
    )
    patience: int = parameter(int, 10, "End after so many checks without a better score; 0: never.", low=0, high=100)


@dataclass(frozen=True)
class SegmentParameters(ImageParameters):
    """Which model segments the image."""

    model: str = parameter(str, "my-model", "Name of a model made by fine-tuning (see `synthreg models`).")
