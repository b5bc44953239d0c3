"""Parameters of tasks defined by examples: in-context prediction, fine-tuning, segmentation. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from SlicerSynthReg.parameters.base import (
    INPUTS,
    OUTPUT,
    TRAINING,
    ComputeParameters,
    ImageParameters,
    model_parameter,
    parameter,
)

PLANES = {"sagittal": (0,), "coronal": (1,), "axial": (2,), "all": (0, 1, 2)}
"""Axes of an upright (RAS) grid across which slices are cut."""


def missing_parameter() -> Any:
    """Declare how labels that an example lacks are interpreted."""
    return parameter(
        bool,
        False,
        "Count a label that an example with other labels lacks as background, rather than as unannotated.",
        group=INPUTS,
        label="Missing labels are background",
    )


@dataclass(frozen=True)
class InContextParameters(ComputeParameters):
    """In-context prediction for a target image from a support set of examples."""

    model: str | None = model_parameter()
    output_kind: str = parameter(
        str,
        "auto",
        "Kind of the examples' outputs; auto: by their values.",
        choices={"auto": "Automatic", "labels": "Segmentation (labels)", "image": "Image"},
        group=INPUTS,
        label="Task",
    )
    labels: str = parameter(
        str, "", "Label values to predict, separated by commas; default: all of the examples.", group=INPUTS
    )
    missing_is_background: bool = missing_parameter()
    predictor: str = parameter(
        str,
        "auto",
        "Predictor: the network, similar patches of the examples, or (auto) the mixture that fits the examples best.",
        choices={"auto": "Automatic (mixture)", "network": "Network", "patches": "Similar patches"},
        label="Method",
    )
    plane: str = parameter(
        str,
        "axial",
        "Orientation of the slices; all: three orientations, averaged.",
        choices={
            "sagittal": "Sagittal",
            "coronal": "Coronal",
            "axial": "Axial",
            "all": "All three, averaged (three times as long)",
        },
        label="Slice orientation",
    )
    support_slices: int = parameter(
        int,
        1,
        "Neighbouring slices above and below that each example adds to the support set.",
        low=0,
        high=4,
        label="Support slices",
    )
    adjacent_slices: bool = parameter(
        bool, False, "Give the network the adjacent slices as further channels, for single-channel images."
    )
    support_size: int = parameter(
        int,
        8,
        "Size of the support set for each slice; fewer examples are repeated with augmentation.",
        low=1,
        high=64,
        label="Support size",
    )
    alignment: str = parameter(
        str,
        "affine",
        "Alignment of the examples with the target: affine or deformable registration, headers, or centres.",
        choices={
            "affine": "Affine registration",
            "deformable": "Deformable registration (slower)",
            "header": "World coordinates of the headers",
            "centre": "Centre to centre",
        },
        label="Alignment",
    )
    spacing_mm: float | None = parameter(
        float, None, "Pixel size of the network's slices; default: the examples', 0.9 to 2.1.", low=0.2, high=5.0
    )
    bootstrap: int = parameter(
        int,
        0,
        "Bootstrap samples, each with half of the examples, to estimate uncertainty.",
        low=0,
        high=32,
        group=OUTPUT,
        label="Bootstrap samples",
    )
    ridge_head: bool = parameter(
        bool, True, "Refit the network's last layer to the examples by ridge regression (some seconds)."
    )
    check_examples: bool = parameter(
        bool,
        True,
        "Predict each example from the others (leave-one-out) and warn of contradictions.",
        group=OUTPUT,
        label="Check the examples (leave-one-out)",
    )


@dataclass(frozen=True)
class FineTuneParameters(ComputeParameters):
    """Training of a segmentation model from a few annotated images."""

    model_name: str = parameter(str, "my-model", "Name of the new model.", group=OUTPUT, label="Model name")
    pretrained_model: str = parameter(
        str,
        "synthmorph-brains",
        "Pretrained model whose features initialise the network; none: random initialisation.",
        label="Pretrained model",
    )
    minutes: float = parameter(
        float, 20.0, "Training time in minutes.", low=0.02, high=1440.0, group=TRAINING, label="Training time (min)"
    )
    validation_cases: int = parameter(
        int,
        1,
        "Number of validation cases, the last examples; they select the best state and score it.",
        low=0,
        high=50,
        group=INPUTS,
        label="Validation cases",
    )
    labels: str = parameter(
        str, "", "Label values to learn, separated by commas; default: all of the examples.", group=INPUTS
    )
    missing_is_background: bool = missing_parameter()
    spacing_mm: float | None = parameter(
        float, None, "Voxel size of the model; default: the examples', 1 to 4.", low=0.3, high=5.0
    )
    crop_size: int = parameter(int, 64, "Edge length of training crops in voxels.", low=16, high=160, group=TRAINING)
    batch_size: int = parameter(int, 1, "Crops per step.", low=1, high=16, group=TRAINING)
    learning_rate: float = parameter(
        float, 2e-3, "Peak learning rate of Adam; five times that for last layers.", low=1e-6, high=0.1, group=TRAINING
    )
    patience: int = parameter(
        int, 10, "Checks without improvement before training stops early; 0: never.", low=0, high=100, group=TRAINING
    )


@dataclass(frozen=True)
class SegmentParameters(ImageParameters):
    """Segmentation of an image by a fine-tuned model."""

    model: str = parameter(str, "my-model", "Name of a model made by fine-tuning (see `synthreg models`).")
