"""Choice of the pipeline for a pair of images: brain or generic, by the requested anatomy or by the images
themselves."""

from __future__ import annotations

import dataclasses

import torch

from SlicerSynthReg.errors import BrainNotFound, RequestError
from SlicerSynthReg.networks.extractor import Extractor
from SlicerSynthReg.parameters.registration import MethodParameters, RegisterParameters
from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, PipelineResult, register_brains
from SlicerSynthReg.registration.ct_tissue import is_ct
from SlicerSynthReg.registration.deformable import DeformableConfig
from SlicerSynthReg.registration.generic_pipeline import GenericPipelineConfig, register_generic
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.landmark_fit import fit_landmarks
from SlicerSynthReg.registration.similarity import (
    FeatureDifference,
    LocalCorrelation,
    MutualInformation,
    Similarity,
    intensity_extractor,
    mind_extractor,
)
from SlicerSynthReg.registration.synthmorph import load_synthmorph
from SlicerSynthReg.spatial.transform import Affine, Transform
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.registry import Card
from SlicerSynthReg.weights.selection import features_card, registration_card, semantic_card

FEATURES_WEIGHT = 0.1
"""Weight of a network's features beside MIND-SSC (anatomix, section 4.1)."""
MAX_FAST_VOXELS = 500_000
"""Voxels of the fixed image that preset "fast" compares in the generic pipeline."""


def run_pipeline(
    inputs: RegistrationInputs, parameters: RegisterParameters, device: str, progress: Progress = no_progress
) -> PipelineResult:
    """Register the inputs by the pipeline for `parameters.anatomy`.

    "auto": two CT are registered as "ct", one CT as "mr-ct", images in which the network recognises brains as "brain",
    and all others as "other". A requested similarity is optimised by the generic pipeline. device: "cpu" or "cuda"; if
    the memory of the graphics card does not suffice, the run is repeated on the processor. Raises ImageError,
    GeometryError and RequestError.
    """
    inputs = dataclasses.replace(inputs, initial_transform=select_initial_transform(inputs, parameters))
    try:
        return _run_on_device(inputs, parameters, device, progress)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
    result = _run_on_device(inputs, parameters, "cpu", progress)
    warning = "The memory of the graphics card did not suffice. The processor was used instead."
    return dataclasses.replace(result, warnings=(*result.warnings, warning))


def _run_on_device(
    inputs: RegistrationInputs, parameters: RegisterParameters, device: str, progress: Progress
) -> PipelineResult:
    similarity = select_similarity(parameters, device)
    anatomy, warnings = _select_anatomy(inputs, parameters.anatomy)
    if anatomy == "brain" or (anatomy == "auto" and similarity is None):
        card = registration_card(parameters.model)
        config = brain_config(parameters, card, device)
        try:
            return register_brains(
                inputs,
                dataclasses.replace(config, require_brains=anatomy == "auto" and card is not None),
                load_synthmorph(card),
                progress,
            )
        except BrainNotFound as error:
            warnings = (*warnings, f"{error} The generic pipeline was used. Choose the anatomy to override this.")
    generic = generic_config(parameters, "other" if anatomy == "auto" else anatomy, similarity, device)
    result = register_generic(inputs, generic, progress)
    return dataclasses.replace(result, warnings=(*warnings, *result.warnings))


def _select_anatomy(inputs: RegistrationInputs, requested: str) -> tuple[str, tuple[str, ...]]:
    """Return the anatomy ("auto": left to the network), and warnings where the images contradict `requested`."""
    count = sum(is_ct(image) for image in (inputs.fixed, inputs.moving))
    if requested == "auto":
        return {2: "ct", 1: "mr-ct", 0: "auto"}[count], ()
    if requested == "ct" and count < 2:
        return requested, (
            "Registered as two CT, but the values of at least one image are not Hounsfield units. Choose another "
            "anatomy if it is no CT.",
        )
    if requested == "mr-ct" and count != 1:
        which = "both images have" if count else "neither image has"
        better = "ct" if count else "other, or brain for brains"
        return requested, (f"Registered as MR and CT, but {which} Hounsfield units. Choose the anatomy {better}.",)
    return requested, ()


def brain_config(parameters: MethodParameters, card: Card | None, device: str) -> BrainPipelineConfig:
    """Return the configuration of the brain pipeline for `parameters` and the model of `card`."""
    config = BrainPipelineConfig(
        regularization=parameters.regularization,
        refine=parameters.refine,
        affine_only=parameters.affine_only,
        deformable=DeformableConfig(last=parameters.preset == "accurate"),
        device=device,
    )
    return config if card is None else dataclasses.replace(config, spacing_mm=card.spacing_mm)


def generic_config(
    parameters: MethodParameters, anatomy: str, similarity: Similarity | None, device: str
) -> GenericPipelineConfig:
    """Return the configuration of the generic pipeline for `parameters`."""
    config = GenericPipelineConfig(
        anatomy=anatomy,
        similarity=similarity,
        regularization=parameters.regularization,
        refine=parameters.refine,
        affine_only=parameters.affine_only,
        last=parameters.preset == "accurate",
        device=device,
    )
    return dataclasses.replace(config, max_voxels=MAX_FAST_VOXELS) if parameters.preset == "fast" else config


def select_initial_transform(inputs: RegistrationInputs, parameters: RegisterParameters) -> Transform | None:
    """Return the given initial transform, or the one fitted to the landmarks if `parameters.landmark_start`.

    Raises RequestError (codes "initial-transform-twice", "landmarks-missing") and GeometryError of `fit_landmarks`.
    """
    if not parameters.landmark_start:
        return inputs.initial_transform
    if inputs.initial_transform is not None:
        raise RequestError(
            "Found an initial transform and initialisation from landmarks, expected one. Leave one out.",
            code="initial-transform-twice",
        )
    if inputs.fixed_landmarks is None or inputs.moving_landmarks is None:
        raise RequestError(
            "Found no landmarks in both images, expected fixed and moving landmarks to initialise from. Give both "
            "lists.",
            code="landmarks-missing",
        )
    return Affine(fit_landmarks(inputs.fixed_landmarks.points_mm, inputs.moving_landmarks.points_mm))


def select_similarity(parameters: RegisterParameters, device: str = "cpu") -> Similarity | None:
    """Return the similarity that Adam optimises; None for "auto", which leaves the choice to the anatomy."""
    name = parameters.similarity
    if name == "auto":
        return None
    if name == "features":
        network = load_network(Extractor, features_card(parameters.features_model)).to(device)
        return FeatureDifference(((mind_extractor, 1.0), (network, FEATURES_WEIGHT)))
    if name == "deepsim":
        return FeatureDifference(((load_network(Extractor, semantic_card(parameters.features_model)).to(device), 1.0),))
    others: dict[str, Similarity] = {
        "mind": FeatureDifference(((mind_extractor, 1.0),)),
        "mse": FeatureDifference(((intensity_extractor, 1.0),)),
        "ncc": LocalCorrelation(),
        "nmi": MutualInformation(),
    }
    return others[name]
