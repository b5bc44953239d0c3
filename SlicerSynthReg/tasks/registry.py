"""Table of tasks: inputs, parameter record and implementation of each command. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.parameters.base import ParameterSpec, parameter_specs
from SlicerSynthReg.parameters.derived_images import (
    ContrastParameters,
    ExportParameters,
    FeaturesParameters,
    HealthyParameters,
    TopologyParameters,
)
from SlicerSynthReg.parameters.examples import FineTuneParameters, InContextParameters, SegmentParameters
from SlicerSynthReg.parameters.registration import ApplyParameters, RegisterParameters, SequenceParameters
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.weights.selection import (
    context_card,
    contrast_card,
    features_card,
    healthy_card,
    registration_cards,
    segmenter_card,
    topology_card,
)

Task = Callable[[Request, Path, Progress], TaskOutcome]


@dataclass(frozen=True)
class InputSpec:
    """Declaration of one input file or DICOM folder."""

    help: str
    required: bool = False


@dataclass(frozen=True)
class TaskSpec:
    """Declaration of one task.

    parameters: the parameter record. load: imports and returns the task's function, which is called with a validated
    request, an empty workspace folder and a Progress. weights: hash of the models that the parameters select ("" for
    none); it enters the fingerprint, so that new weights outdate a result. files: further files to which the inputs
    refer, such as those in a table of examples; their contents enter the fingerprint. finishes: whether the task
    accepts FinishNow from its progress.
    """

    help: str
    inputs: Mapping[str, InputSpec]
    parameters: type
    load: Callable[[], Task]
    weights: Callable[[Mapping[str, Any]], str] = lambda parameters: ""
    files: Callable[[Mapping[str, str]], list[Path]] = lambda inputs: []
    finishes: bool = False

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        return parameter_specs(self.parameters)


def _task(name: str) -> Callable[[], Task]:
    """Return a function that imports tasks/NAME.py, and torch with it, and returns its NAME_task."""

    def load() -> Task:
        return getattr(import_module(f"SlicerSynthReg.tasks.{name}"), f"{name}_task")

    return load


def _registration_weights(parameters: Mapping[str, Any]) -> str:
    return " ".join(card.sha256 for card in registration_cards(parameters))


def _example_files(inputs: Mapping[str, str]) -> list[Path]:
    from SlicerSynthReg.io.example_pairs import find_examples

    source = Path(inputs["examples"])
    pairs = [] if source.is_dir() else find_examples(source)
    return [path for pair in pairs for path in (*pair.inputs, pair.output)]


_IMAGE = "NIfTI, NRRD, MHA or MHD file, or a folder with one DICOM series"
_POINTS = ".csv, .fcsv or .mrk.json file"

TASKS: Mapping[str, TaskSpec] = {
    "register": TaskSpec(
        help="Register a moving image to a fixed image, across contrasts.",
        inputs={
            "fixed": InputSpec(f"Fixed image: {_IMAGE}.", required=True),
            "moving": InputSpec(f"Moving image: {_IMAGE}.", required=True),
            "fixed_labels": InputSpec(
                "Label map on the grid of the fixed image; with moving labels, Dice is reported."
            ),
            "moving_labels": InputSpec("Label map of the moving image; it is transformed as well."),
            "fixed_mask": InputSpec("Mask of the fixed image; only non-zero voxels are compared."),
            "moving_mask": InputSpec("Mask of the moving image; only non-zero voxels are compared."),
            "fixed_landmarks": InputSpec(
                f"Landmarks of the fixed image ({_POINTS}), for the error or the initialisation."
            ),
            "moving_landmarks": InputSpec(
                f"Corresponding landmarks of the moving image ({_POINTS}), in the same order."
            ),
            "initial_transform": InputSpec("Initial transform, fixed to moving: .tfm, .h5 or .nii.gz."),
        },
        parameters=RegisterParameters,
        load=_task("register"),
        weights=_registration_weights,
    ),
    "sequence": TaskSpec(
        help="Register every frame of a sequence to one frame, to their mean, or to a fixed image.",
        inputs={
            "sequence": InputSpec(
                "4-D NIfTI or NRRD file, or a folder with one image per frame, sorted by name.", required=True
            ),
            "fixed": InputSpec(f"Fixed image to which all frames are registered instead: {_IMAGE}."),
            "fixed_mask": InputSpec("Mask of the reference; only non-zero voxels are compared."),
            "fixed_landmarks": InputSpec(f"Landmarks of the reference, tracked through the frames ({_POINTS})."),
        },
        parameters=SequenceParameters,
        load=_task("sequence"),
        weights=_registration_weights,
    ),
    "apply": TaskSpec(
        help="Apply a saved transform to an image, a label map or landmarks.",
        inputs={
            "transform": InputSpec("Transform from the reference to the image: .tfm, .h5 or .nii.gz.", required=True),
            "reference": InputSpec(f"Image that defines the output grid: {_IMAGE}.", required=True),
            "image": InputSpec(f"Image to transform: {_IMAGE}."),
            "labels": InputSpec("Label map to transform (nearest neighbour)."),
            "landmarks": InputSpec(f"Landmarks to transform with the image ({_POINTS})."),
        },
        parameters=ApplyParameters,
        load=_task("apply"),
    ),
    "in-context": TaskSpec(
        help="Segment or translate a target image by a few examples, without training (in-context).",
        inputs={
            "examples": InputSpec(
                "Folder of pairs (images/ and labels/, or NAME_image and NAME_labels), or CSV with the columns input "
                "and output.",
                required=True,
            ),
            "target": InputSpec(f"Target image: {_IMAGE}.", required=True),
            "target2": InputSpec("Second channel of the target, if the examples have two."),
            "target3": InputSpec("Third channel of the target, if the examples have three."),
            "truth": InputSpec("Reference output on the grid of the target; Dice or PSNR is reported."),
        },
        parameters=InContextParameters,
        load=_task("in_context"),
        files=_example_files,
        weights=lambda parameters: context_card(parameters["model"]).sha256,
    ),
    "contrast": TaskSpec(
        help="Convert arterial-phase CT to virtual non-contrast CT, or the reverse.",
        inputs={
            "image": InputSpec(f"CT of the abdomen, in HU: {_IMAGE}.", required=True),
            "labels": InputSpec("Label map of organs on the grid of the image; their HU are reported."),
            "truth": InputSpec("Reference CT of the target phase on the grid of the image; the error is reported."),
        },
        parameters=ContrastParameters,
        load=_task("contrast"),
        weights=lambda parameters: contrast_card(parameters["model"]).sha256,
    ),
    "export": TaskSpec(
        help="Write a computed CT as a derived DICOM series of its source study.",
        inputs={
            "image": InputSpec("Computed CT in HU, on the grid of its source.", required=True),
            "source": InputSpec("Folder with the DICOM series from which it was computed.", required=True),
        },
        parameters=ExportParameters,
        load=_task("export"),
    ),
    "finetune": TaskSpec(
        help="Train a segmentation model from a few annotated images, within a time limit.",
        inputs={
            "examples": InputSpec(
                "Folder of pairs (images/ and labels/), or CSV with input and output.", required=True
            ),
        },
        parameters=FineTuneParameters,
        load=_task("finetune"),
        files=_example_files,
        finishes=True,
    ),
    "segment": TaskSpec(
        help="Segment an image by a fine-tuned model.",
        inputs={
            "image": InputSpec(f"Image to segment: {_IMAGE}.", required=True),
            "truth": InputSpec("Reference label map on the grid of the image; Dice is reported."),
        },
        parameters=SegmentParameters,
        load=_task("segment"),
        weights=lambda parameters: segmenter_card(parameters["model"]).sha256,
    ),
    "healthy": TaskSpec(
        help="Reconstruct the pseudo-healthy T1 image and the anomaly map of a head scan.",
        inputs={"image": InputSpec(f"Head scan, CT or MR of any contrast: {_IMAGE}.", required=True)},
        parameters=HealthyParameters,
        load=_task("healthy"),
        weights=lambda parameters: healthy_card(parameters["model"]).sha256,
    ),
    "features": TaskSpec(
        help="Extract the feature channels of a network as an image, for other programs.",
        inputs={"image": InputSpec(f"Image: {_IMAGE}.", required=True)},
        parameters=FeaturesParameters,
        load=_task("features"),
        weights=lambda parameters: features_card(parameters["model"]).sha256,
    ),
    "topology": TaskSpec(
        help="Detect topological change between two aligned images, such as a lesion or resection.",
        inputs={
            "fixed": InputSpec(f"Fixed image, in which change is marked: {_IMAGE}.", required=True),
            "moving": InputSpec(f"Moving image of the same contrast: {_IMAGE}.", required=True),
            "transform": InputSpec("Affine, fixed to moving, if the images are not aligned: .tfm or .h5."),
            "controls": InputSpec(
                "Folder of healthy controls aligned with the fixed image; normal variation is removed."
            ),
        },
        parameters=TopologyParameters,
        load=_task("topology"),
        weights=lambda parameters: topology_card(parameters["model"]).sha256,
    ),
}
