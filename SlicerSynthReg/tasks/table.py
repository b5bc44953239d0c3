"""The tasks that the door knows: inputs, parameters and where the work is done. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.tasks.context_parameters import ContextParameters
from SlicerSynthReg.tasks.contrast_parameters import ContrastParameters
from SlicerSynthReg.tasks.export_parameters import ExportParameters
from SlicerSynthReg.tasks.features_parameters import FeaturesParameters
from SlicerSynthReg.tasks.finetune_parameters import FineTuneParameters, SegmentParameters
from SlicerSynthReg.tasks.healthy_parameters import HealthyParameters
from SlicerSynthReg.tasks.model import (
    context_card,
    contrast_card,
    features_card,
    healthy_card,
    registration_cards,
    segmenter_card,
    topology_card,
)
from SlicerSynthReg.tasks.parameters import ApplyParameters, ParameterSpec, RegisterParameters, parameter_specs
from SlicerSynthReg.tasks.sequence_parameters import SequenceParameters
from SlicerSynthReg.tasks.topology_parameters import TopologyParameters

Task = Callable[[Request, Path, Progress], TaskOutcome]


@dataclass(frozen=True)
class InputSpec:
    """One input file (or DICOM folder)."""

    help: str
    required: bool = False


@dataclass(frozen=True)
class TaskSpec:
    """load: imports and returns the task's function, called with a validated request and an empty workspace folder.
    weights: hash of the model that these parameters choose, "" for none; new weights make an old result outdated.
    files: those that an input names, such as a table of examples; their contents count as its own. finishes: whether
    the task hears FinishNow from its progress."""

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
    """Imports tasks/NAME.py, and torch with it, only when called; returns its NAME_task."""

    def load() -> Task:
        return getattr(import_module(f"SlicerSynthReg.tasks.{name}"), f"{name}_task")

    return load


def _weights_to_register(parameters: Mapping[str, Any]) -> str:
    return " ".join(card.sha256 for card in registration_cards(parameters))


def _files_of_examples(inputs: Mapping[str, str]) -> list[Path]:
    from SlicerSynthReg.tasks.context_pairs import find_pairs

    source = Path(inputs["examples"])
    pairs = [] if source.is_dir() else find_pairs(source)
    return [path for pair in pairs for path in (*pair.inputs, pair.output)]


_IMAGE = "NIfTI, NRRD, MHA or MHD file, or a folder with one DICOM series"
_POINTS = ".csv, .fcsv or .mrk.json file"

TASKS: Mapping[str, TaskSpec] = {
    "register": TaskSpec(
        help="Align the moving image with the fixed image, across contrasts.",
        inputs={
            "fixed": InputSpec(f"Image that stays: {_IMAGE}.", required=True),
            "moving": InputSpec(f"Image that is moved: {_IMAGE}.", required=True),
            "fixed_labels": InputSpec("Label map on the fixed image's grid; with the moving one, Dice is reported."),
            "moving_labels": InputSpec("Label map in the moving image's space; it is moved as well."),
            "fixed_mask": InputSpec("Region of the fixed image that counts (non-zero voxels)."),
            "moving_mask": InputSpec("Region of the moving image that counts (non-zero voxels)."),
            "fixed_landmarks": InputSpec(f"Points of the fixed image ({_POINTS}), to measure the error or start from."),
            "moving_landmarks": InputSpec(f"The same points in the moving image ({_POINTS}), in the same order."),
            "initial_transform": InputSpec("Transform to start from, fixed to moving: .tfm, .h5 or .nii.gz."),
        },
        parameters=RegisterParameters,
        load=_task("register"),
        weights=_weights_to_register,
    ),
    "sequence": TaskSpec(
        help="Register every frame of a 4-D image to one of them, to their mean, or to a fixed image.",
        inputs={
            "sequence": InputSpec(
                "4-D NIfTI or NRRD file, or a folder with one image a frame, in their names' order.", required=True
            ),
            "fixed": InputSpec(f"Image that all frames are brought onto, in place of one of them: {_IMAGE}."),
            "fixed_mask": InputSpec("Region of the reference that counts (non-zero voxels)."),
            "fixed_landmarks": InputSpec(f"Points of the reference to follow through the frames ({_POINTS})."),
        },
        parameters=SequenceParameters,
        load=_task("sequence"),
        weights=_weights_to_register,
    ),
    "apply": TaskSpec(
        help="Apply a saved transform to an image, a label map or landmarks.",
        inputs={
            "transform": InputSpec("Transform from the reference to the image: .tfm, .h5 or .nii.gz.", required=True),
            "reference": InputSpec(f"Image on whose grid the result lies: {_IMAGE}.", required=True),
            "image": InputSpec(f"Image to move: {_IMAGE}."),
            "labels": InputSpec("Label map to move (nearest neighbour)."),
            "landmarks": InputSpec(f"Points to move along with the image ({_POINTS})."),
        },
        parameters=ApplyParameters,
        load=_task("apply"),
    ),
    "context": TaskSpec(
        help="Do to the target what a few examples show: find a structure, or turn one kind of image into another.",
        inputs={
            "examples": InputSpec(
                "Folder of pairs (images/ and labels/, or NAME_image and NAME_labels), or CSV with the columns input "
                "and output.",
                required=True,
            ),
            "target": InputSpec(f"Image to work on: {_IMAGE}.", required=True),
            "target2": InputSpec("Second image of the target, where the examples have two."),
            "target3": InputSpec("Third image of the target, where the examples have three."),
            "truth": InputSpec("What the answer should be, on the target's grid; Dice or PSNR is reported."),
        },
        parameters=ContextParameters,
        load=_task("context"),
        files=_files_of_examples,
        weights=lambda parameters: context_card(parameters["model"]).sha256,
    ),
    "contrast": TaskSpec(
        help="Make a synthetic native CT from one with arterial contrast, or the other way round.",
        inputs={
            "image": InputSpec(f"CT of the abdomen, in HU: {_IMAGE}.", required=True),
            "labels": InputSpec("Label map of organs on the image's grid; their HU are reported."),
            "truth": InputSpec("A true CT of the kind that is made, on the image's grid; the error is reported."),
        },
        parameters=ContrastParameters,
        load=_task("contrast"),
        weights=lambda parameters: contrast_card(parameters["model"]).sha256,
    ),
    "export": TaskSpec(
        help="Write a computed CT as a derived DICOM series of the study that it was computed from.",
        inputs={
            "image": InputSpec("The computed CT, in HU, on the grid of its source.", required=True),
            "source": InputSpec("Folder with the DICOM series that it was computed from.", required=True),
        },
        parameters=ExportParameters,
        load=_task("export"),
    ),
    "finetune": TaskSpec(
        help="Train a segmentation model of your own from a few annotated volumes, in a budget of minutes.",
        inputs={
            "examples": InputSpec(
                "Folder of pairs (images/ and labels/), or CSV with input and output.", required=True
            ),
        },
        parameters=FineTuneParameters,
        load=_task("finetune"),
        files=_files_of_examples,
        finishes=True,
    ),
    "segment": TaskSpec(
        help="Segment an image with a model that was made by fine-tuning.",
        inputs={
            "image": InputSpec(f"Image to segment: {_IMAGE}.", required=True),
            "truth": InputSpec("Label map on the image's grid; Dice is reported."),
        },
        parameters=SegmentParameters,
        load=_task("segment"),
        weights=lambda parameters: segmenter_card(parameters["model"]).sha256,
    ),
    "healthy": TaskSpec(
        help="Show the healthy T1 anatomy behind a scan of a head, and what is abnormal in it.",
        inputs={"image": InputSpec(f"CT or MR of a head, of any contrast: {_IMAGE}.", required=True)},
        parameters=HealthyParameters,
        load=_task("healthy"),
        weights=lambda parameters: healthy_card(parameters["model"]).sha256,
    ),
    "features": TaskSpec(
        help="Write the channels by which a network tells places of an image apart, for other programs to compare.",
        inputs={"image": InputSpec(f"Image to look at: {_IMAGE}.", required=True)},
        parameters=FeaturesParameters,
        load=_task("features"),
        weights=lambda parameters: features_card(parameters["model"]).sha256,
    ),
    "topology": TaskSpec(
        help="Show where two aligned images differ as no smooth warp can explain, such as a lesion or a resection.",
        inputs={
            "fixed": InputSpec(f"Image that is looked at: {_IMAGE}.", required=True),
            "moving": InputSpec(f"Image that should explain it, in the same contrast: {_IMAGE}.", required=True),
            "transform": InputSpec("Affine that aligns them, fixed to moving, where they are not: .tfm or .h5."),
            "controls": InputSpec("Folder of healthy people's images, aligned with the fixed one; what is usual goes."),
        },
        parameters=TopologyParameters,
        load=_task("topology"),
        weights=lambda parameters: topology_card(parameters["model"]).sha256,
    ),
}
