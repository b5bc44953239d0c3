"""Which way a pair is registered: as brains, or as any anatomy; by what the user said it is, else by what is seen."""

from __future__ import annotations

import dataclasses

import torch

from SlicerSynthReg.methods.instance.points import fit_points
from SlicerSynthReg.methods.instance.similarity import (
    Described,
    LocalCorrelation,
    MutualInformation,
    Similarity,
    intensities,
    mind,
)
from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.nets.extractor import Extractor
from SlicerSynthReg.request import RequestError
from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.tasks.alignment import Alignment, AlignmentConfig, NotABrain, align
from SlicerSynthReg.tasks.anywhere import AnywhereConfig, align_anywhere
from SlicerSynthReg.tasks.anywhere_scans import is_ct
from SlicerSynthReg.tasks.deforming import DeformingConfig
from SlicerSynthReg.tasks.loaded import loaded
from SlicerSynthReg.tasks.model import features_card, semantic_card
from SlicerSynthReg.tasks.parameters import MethodParameters, RegisterParameters
from SlicerSynthReg.tasks.register_inputs import Inputs
from SlicerSynthReg.tasks.stopwatch import Progress

FEATURES_SHARE = 0.1
"""Weight of a network's features beside MIND-SSC (anatomix, section 4.1)."""
FAST_VOXELS = 500_000


def config_of(parameters: MethodParameters, device: str) -> AlignmentConfig:
    """What the parameters mean to the alignment. device: where networks and refinement run."""
    return AlignmentConfig(
        regularization=1.0 if parameters.regularization is None else parameters.regularization,
        refine=parameters.refine,
        affine_only=parameters.affine_only,
        deforming=DeformingConfig(last=parameters.preset == "accurate"),
        device=device,
    )


def align_chosen(
    parameters: RegisterParameters,
    model: SynthMorph | None,
    spacing: float,
    inputs: Inputs,
    config: AlignmentConfig,
    progress: Progress,
) -> Alignment:
    """The inputs registered as `parameters.anatomy` says; "auto": by which of the two are CT; else, what the brain
    network recognises as brains, and all else as any anatomy. A similarity that was asked for is optimised as for any
    anatomy. Where the graphics card's memory does not suffice, the processor does the work again."""
    try:
        return _aligned(parameters, model, spacing, inputs, config, progress)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
    found = _aligned(parameters, model, spacing, inputs, dataclasses.replace(config, device="cpu"), progress)
    warning = "The graphics card's memory did not suffice: the processor was used instead."
    return dataclasses.replace(found, warnings=(*found.warnings, warning))


def _aligned(
    parameters: RegisterParameters,
    model: SynthMorph | None,
    spacing: float,
    inputs: Inputs,
    config: AlignmentConfig,
    progress: Progress,
) -> Alignment:
    """`align_chosen` on one device."""
    initial = start_of(parameters, inputs)
    anatomy, similarity = parameters.anatomy, similarity_of(parameters, config.device)
    pair = inputs.fixed, inputs.moving
    masks = inputs.fixed_mask, inputs.moving_mask
    tomographies = sum(is_ct(one) for one in pair)
    warnings: tuple[str, ...] = ()
    if anatomy == "auto":
        anatomy = {2: "ct", 1: "mr-ct", 0: "auto"}[tomographies]
    elif anatomy == "ct" and tomographies < 2:
        warnings = (
            "Registered as two CT, though the values of at least one image are no Hounsfield units: choose another "
            "anatomy if it is no CT.",
        )
    elif anatomy == "mr-ct" and tomographies != 1:
        which = "both images have" if tomographies else "neither image has"
        better = "ct" if tomographies else "other, or brain for brains"
        warnings = (
            f"Registered as an MR and a CT, though {which} Hounsfield units: choose the anatomy {better} if that is "
            "what they show.",
        )
    if anatomy == "brain" or (anatomy == "auto" and similarity is None):
        brains_only = dataclasses.replace(config, brains_only=anatomy == "auto" and model is not None)
        try:
            return align(model, spacing, *pair, brains_only, *masks, initial, progress)
        except NotABrain as seen:
            warnings = (*warnings, f"{seen} It was registered as any anatomy is; --anatomy says otherwise.")
    how = AnywhereConfig(
        anatomy="other" if anatomy == "auto" else anatomy,
        similarity=similarity,
        regularization=config.regularization,
        refine=config.refine,
        affine_only=config.affine_only,
        last=config.deforming.last,
        device=config.device,
    )
    if parameters.preset == "fast":
        how = dataclasses.replace(how, most_voxels=FAST_VOXELS)
    found = align_anywhere(*pair, how, *masks, initial, progress)
    return dataclasses.replace(found, warnings=(*warnings, *found.warnings))


def start_of(parameters: RegisterParameters, inputs: Inputs) -> Transform | None:
    """The transform to start from: the one given, or that of the landmark pairs. Errors: RequestError,
    GeometryError."""
    if not parameters.landmark_start:
        return inputs.initial
    if inputs.initial is not None:
        raise RequestError("Found an initial transform and a start from landmarks, expected one. Leave one out.")
    if inputs.fixed_landmarks is None or inputs.moving_landmarks is None:
        raise RequestError(
            "Found no landmarks in both images, expected fixed and moving ones to start from. Give both lists."
        )
    return Affine(fit_points(inputs.fixed_landmarks.points_mm, inputs.moving_landmarks.points_mm))


def similarity_of(parameters: RegisterParameters, device: str = "cpu") -> Similarity | None:
    """What Adam is to compare; None leaves it to the anatomy."""
    named = parameters.similarity
    if named == "auto":
        return None
    if named == "features":
        return Described(
            ((mind, 1.0), (loaded(Extractor, features_card(parameters.features_model)).to(device), FEATURES_SHARE))
        )
    if named == "deepsim":
        return Described(((loaded(Extractor, semantic_card(parameters.features_model)).to(device), 1.0),))
    others: dict[str, Similarity] = {
        "mind": Described(((mind, 1.0),)),
        "mse": Described(((intensities, 1.0),)),
        "ncc": LocalCorrelation(),
        "nmi": MutualInformation(),
    }
    return others[named]
