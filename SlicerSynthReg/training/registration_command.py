"""`synthreg train anatomy`, `registration` and `export-registration`: SynthMorph's networks."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.networks.extractor import METHOD as FEATURES
from SlicerSynthReg.networks.extractor import Extractor
from SlicerSynthReg.registration.synthmorph import SynthMorph, SynthMorphConfig
from SlicerSynthReg.synthesis.tissues import BRAIN_STRUCTURES, STRUCTURES
from SlicerSynthReg.training.anatomy import AnatomyTask, AnatomyTaskConfig
from SlicerSynthReg.training.export import Provenance, best_weights, export_model
from SlicerSynthReg.training.label_maps import read_label_maps
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import (
    DEVICE,
    LABELS,
    MODEL_NAME,
    OUT,
    PRETRAINED_MODEL,
    PROVENANCE,
    VALIDATION_CASES,
)
from SlicerSynthReg.training.pairs import PairConfig
from SlicerSynthReg.training.registration import LOSSES, NETWORKS, RegistrationTask, RegistrationTaskConfig
from SlicerSynthReg.weights.registry import read_card

METHOD = "SynthMorph"


def anatomy(
    labels: Path = LABELS,
    pretrained_model: Optional[str] = PRETRAINED_MODEL,
    validation_cases: int = VALIDATION_CASES,
    device: str = DEVICE,
) -> TrainingTask:
    """Train the network of synthmorph-brains: segmentation of brain structures in any contrast."""
    task = AnatomyTask(AnatomyTaskConfig(), read_label_maps(labels, validation_cases), validation_cases, device)
    if pretrained_model:
        task.model.net.load_state_dict(unet_weights(pretrained_model))
    return task


def registration(
    labels: Optional[Path] = typer.Option(None, help="Folder of whole-head label maps; none: random shapes."),
    features: Optional[Path] = typer.Option(
        None, help="Folder of an anatomy or feature training, whose network computes the features; it is not trained."
    ),
    loss: str = typer.Option("dice", help=f"One of {', '.join(LOSSES)}."),
    network: str = typer.Option("matching", help=f"One of {', '.join(NETWORKS)}."),
    feature_model: str = typer.Option(
        "synthmorph-brains", help="Of --loss deepsim: model whose encoder computes the compared features."
    ),
    extract_first: bool = typer.Option(False, help="Extract the features of --loss deepsim before the warp."),
    one_subject: bool = typer.Option(False, help="Both images of a pair from one label map."),
    same_contrast: bool = typer.Option(False, help="Both images of a pair in one T1-like contrast."),
    coarse: bool = typer.Option(False, help="Pairs at 4 mm instead of 2 mm, an eighth of the voxels."),
    validation_cases: int = VALIDATION_CASES,
    device: str = DEVICE,
) -> TrainingTask:
    """Train a network that predicts the velocity of a pair; --loss selects SynthMorph or a comparison method."""
    if features and network != "matching":
        raise ValueError(f"Found --features with --network {network}, expected --network matching.")
    pairs = PairConfig(one_subject=one_subject)
    config = RegistrationTaskConfig(
        loss,
        network,
        freeze=features is not None,
        extract_first=extract_first,
        same_contrast=same_contrast,
        pairs=pairs.coarse() if coarse else pairs,
    )
    maps = read_label_maps(labels, validation_cases) if labels else None
    pretrained = assemble_synthmorph(features) if features else None
    extractor = Extractor.load(read_card(feature_model)) if loss == "deepsim" else None
    return RegistrationTask(config, maps, pretrained, validation_cases, device, extractor)


def export_registration(
    name: str = MODEL_NAME,
    features: Optional[Path] = typer.Option(None, help="Folder of the anatomy or feature training."),
    registration: Optional[Path] = typer.Option(None, help="Folder of the registration training."),
    provenance: Path = PROVENANCE,
    out: Path = OUT,
) -> None:
    """Write card and half-precision weights of a SynthMorph model from its trainings' best checkpoints."""
    model = assemble_synthmorph(features, registration)
    typer.echo(str(export_model(name, METHOD, model, Provenance.read(provenance), out)))


def assemble_synthmorph(features: Path | None = None, registration: Path | None = None) -> SynthMorph:
    """Return SynthMorph with the best averaged weights of a feature training and of a registration training.

    A registration training contains the features that it was trained with; features given beside it must be the same.
    Without a registration training the matching heads keep their initial weights, near soft-argmax.
    Raises WeightsError (training-missing, not-matching, features-differ, weights-mismatch, checkpoint-missing).
    """
    if features is None and registration is None:
        raise WeightsError(
            "Found neither --features nor --registration, expected a training to export.", code="training-missing"
        )
    state: dict[str, torch.Tensor] = {}
    if registration:
        weights = best_weights(registration)
        state = {key.removeprefix("model."): value for key, value in weights.items() if key.startswith("model.")}
        if not state:
            raise WeightsError(
                f"Found a training without --network matching in {registration.name}, expected one with it.",
                code="not-matching",
            )
    if features:
        parts = {k: v for k, v in best_weights(features).items() if k.startswith(("net.", "prototypes."))}
        if registration and not all(k in state and torch.equal(state[k], v) for k, v in parts.items()):
            raise WeightsError(
                f"Found other features in {features.name} than {registration.name} was trained with, expected the "
                "same. Leave out --features to export those of the registration training, or train it again.",
                code="features-differ",
            )
        state |= parts
    segments = "prototypes.weight" in state
    config = SynthMorphConfig(labels=tuple(STRUCTURES), foreground=BRAIN_STRUCTURES) if segments else SynthMorphConfig()
    model = SynthMorph(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    wrong = [key for key in missing if not key.startswith("matching.")] + list(unexpected)
    if wrong:
        raise WeightsError(
            f"Found checkpoints that do not fit the network ({wrong[:3]}), expected the default configuration.",
            code="weights-mismatch",
        )
    return model.eval()


def unet_weights(name: str) -> dict[str, torch.Tensor]:
    """Return the U-Net weights of model `name`, a registration or feature model."""
    card = read_card(name)
    return (Extractor if card.method == FEATURES else SynthMorph).load(card).net.state_dict()
