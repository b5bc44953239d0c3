"""SynthMorph's trainings: `synthreg train anatomy`, `features`, `registration`, and `ship`."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.nets.extractor import METHOD, Extractor
from SlicerSynthReg.train.anatomy import AnatomyTask, AnatomyTaskConfig
from SlicerSynthReg.train.features import FeatureTask, FeatureTaskConfig
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.pairs import PairConfig
from SlicerSynthReg.train.registration import LOSSES, RegistrationTask, RegistrationTaskConfig
from SlicerSynthReg.train.ship import Provenance, assembled, ship
from SlicerSynthReg.train.training import DEVICE, app, label_maps, training
from SlicerSynthReg.weights.registry import WeightsError, read_card

_START = typer.Option(None, help="Model whose network the training starts from.")
_HELD_OUT = typer.Option(2, help="So many label maps, the last by name, are for validation only.")


@training
def anatomy(
    labels: Path = typer.Option(..., help="Folder of whole-head label maps (FreeSurfer numbers)."),
    start: Optional[str] = _START,
    held_out: int = _HELD_OUT,
    device: str = DEVICE,
) -> Task:
    """The network of the brains variant: in any contrast, what lies where."""
    task = AnatomyTask(AnatomyTaskConfig(), label_maps(labels, held_out), held_out, device)
    if start:
        task.model.net.load_state_dict(network_of(start))
    return task


@training
def features(start: Optional[str] = _START, device: str = DEVICE) -> Task:
    """The features of the shapes variant, from random shapes alone."""
    task = FeatureTask(FeatureTaskConfig.shapes(), device)
    if start:
        task.model.net.load_state_dict(network_of(start))
    return task


@training
def registration(
    labels: Optional[Path] = typer.Option(None, help="Folder of whole-head label maps; none: random shapes."),
    features: Optional[Path] = typer.Option(
        None, help="Folder of an anatomy or feature training, whose features are matched as they are."
    ),
    loss: str = typer.Option("dice", help=f"One of {', '.join(LOSSES)}."),
    network: str = typer.Option("matching", help="matching, unet (the paper's) or transformer."),
    semantic: str = typer.Option(
        "synthmorph-brains", help="With --loss deepsim: the model whose encoder compares, a registration's or its own."
    ),
    extract_first: bool = typer.Option(False, help="DeepSim's features are taken before the warp, then warped."),
    one_person: bool = typer.Option(False, help="Both images of a pair from one label map."),
    alike: bool = typer.Option(False, help="Both images of a pair in one T1-like contrast."),
    coarse: bool = typer.Option(False, help="Pairs at 4 mm: an eighth of the work, to compare networks by."),
    held_out: int = _HELD_OUT,
    device: str = DEVICE,
) -> Task:
    """The velocity of a pair; `--loss` selects the paper's training or one of its comparisons."""
    if features and network != "matching":
        raise typer.BadParameter(f"Found --features with --network {network}, expected matching: it has none.")
    try:
        pairs = PairConfig(one_person=one_person)
        pairs = pairs.coarse() if coarse else pairs
        config = RegistrationTaskConfig(
            loss, network, features is not None, extract_first=extract_first, alike=alike, pairs=pairs
        )
        maps = label_maps(labels, held_out) if labels else None
        start = _assembled(features) if features else None
        compared = Extractor.load(read_card(semantic)) if loss == "deepsim" else None
        return RegistrationTask(config, maps, start, held_out, device, compared)
    except (ValueError, WeightsError) as error:
        raise typer.BadParameter(str(error)) from error


@app.command("ship")
def ship_model(
    name: str = typer.Argument(..., help="Name of the model, such as synthmorph-brains."),
    features: Optional[Path] = typer.Option(None, help="Folder of the anatomy or feature training."),
    registration: Optional[Path] = typer.Option(None, help="Folder of the registration training."),
    provenance: Path = typer.Option(..., help="JSON file with what the card must say of data, use, limits and scores."),
    to: Path = typer.Option(..., help="Folder for the card and the weights."),
) -> None:
    """Best checkpoints -> a card and half-precision weights."""
    if features is None and registration is None:
        raise typer.BadParameter("Found neither --features nor --registration, expected a training to ship.")
    typer.echo(str(ship(name, _assembled(features, registration), Provenance.read(provenance), to)))


def _assembled(features: Path | None, registration: Path | None = None) -> SynthMorph:
    try:
        return assembled(features, registration)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def network_of(name: str) -> dict[str, torch.Tensor]:
    """The U-Net of model `name`, a registration's or one of features."""
    card = read_card(name)
    return (Extractor if card.method == METHOD else SynthMorph).load(card).net.state_dict()
