"""`synthreg train contrast`: native to contrast CT and back, on phantoms or on a folder of pairs (MFM)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

import typer

from SlicerSynthReg.methods.mfm.model import WAYS, ContrastConfig, ContrastModel
from SlicerSynthReg.nets.slicewise import NETWORKS
from SlicerSynthReg.synth.ct.phantom import PhantomConfig
from SlicerSynthReg.train.contrast import ContrastTask, ContrastTaskConfig, best_of
from SlicerSynthReg.train.ct_pairs import PairPool, PhantomSlices, pair_folders, read_pair
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.ship import Provenance
from SlicerSynthReg.train.training import DEVICE, app, training
from SlicerSynthReg.weights.registry import Card, read_card, save_model

METHOD = "MFM"
"""What the cards of these models say."""
_METHOD = typer.Option("flow", help=f"One of {', '.join(WAYS)}; the last two are comparisons.")
_NETWORK = typer.Option("timeresnet", help=f"One of {', '.join(NETWORKS)}.")
_TO = typer.Option("native", help="native or contrast: what a comparison gives; flow matching gives both.")
_NEIGHBOURS = typer.Option(1, min=0, help="Slices seen on either side; 0 is the paper's plain 2-D.")
HELD_OUT_SEED = 1_000_000
"""Phantoms from this number on are for validation and evaluation only."""


@training
def contrast(
    pairs: Optional[Path] = typer.Option(
        None, help="Folder of patients, each a folder with native.nii.gz and contrast.nii.gz; none: phantoms."
    ),
    method: str = _METHOD,
    network: str = _NETWORK,
    to: str = _TO,
    neighbours: int = _NEIGHBOURS,
    shared_noise: float = typer.Option(
        1.0, min=0.0, max=1.0, help="Of phantoms: 1 the same noise in both scans, so that iodine alone differs; 0 two."
    ),
    augment: Optional[bool] = typer.Option(
        None, "--augment/--no-augment", help="The paper's flips, turns and affine maps; default: for pairs of yours."
    ),
    batch: int = typer.Option(4, min=1, help="Slices a step."),
    side: int = typer.Option(192, min=32, help="Pixels of a slice's window; the paper's slices are 512."),
    held_out: int = typer.Option(3, min=1, help="So many patients, the last by name, are for validation only."),
    pixel_mm: Optional[float] = typer.Option(
        None, min=0.1, help="Pairs are averaged down to pixels of this size; default: left as they are."
    ),
    start: Optional[str] = typer.Option(
        None, help="Model whose weights the training starts from; network, method and neighbours are then its own."
    ),
    device: str = DEVICE,
) -> Task:
    """The translation between native and contrast CT."""
    try:
        card = read_card(start) if start else None
        model = ContrastConfig.from_card(card.architecture) if card else _config(method, network, neighbours, to)
        config = ContrastTaskConfig(model, batch, side, pairs is not None if augment is None else augment)
        if pairs is None:
            phantoms = PhantomSlices(phantom=PhantomConfig(zoom=(1.0, 1.0), shared_noise=shared_noise))
            few = dataclasses.replace(phantoms, count=8)
            validation = [few.make(HELD_OUT_SEED + n) for n in range(held_out)]
            return _started(ContrastTask(config, PairPool(phantoms.make), validation, device), card)
        folders = pair_folders(pairs)
        if len(folders) <= held_out:
            raise typer.BadParameter(
                f"Found {len(folders)} pairs in {pairs.name} with {held_out} held out, expected some to train on."
            )
        pool = PairPool(lambda n: read_pair(folders[n], pixel_mm), range(len(folders) - held_out), size=4, reuse=50)
        validation = [read_pair(one, pixel_mm) for one in folders[-held_out:]]
        return _started(ContrastTask(config, pool, validation, device), card)
    except (ValueError, RuntimeError) as error:
        raise typer.BadParameter(str(error)) from error


@app.command("ship-contrast")
def ship_contrast(
    name: str = typer.Argument(..., help="Name of the model, such as mfm-abdomen."),
    training: Path = typer.Option(..., help="Folder of the training."),
    method: str = _METHOD,
    network: str = _NETWORK,
    to: str = _TO,
    neighbours: int = _NEIGHBOURS,
    provenance: Path = typer.Option(..., help="JSON file with what the card must say of data, use, limits and scores."),
    folder: Path = typer.Option(..., "--to-folder", help="Folder for the card and the weights."),
) -> None:
    """The best averaged weights of `synthreg train contrast` -> a card and half-precision weights."""
    try:
        model = best_of(training, _config(method, network, neighbours, to))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    said = dataclasses.asdict(Provenance.read(provenance))
    card = Card(name=name, method=METHOD, architecture=model.config.to_card(), sha256="", **said)
    typer.echo(str(save_model(card, model.state_dict(), folder)))


def _config(method: str, network: str, neighbours: int, to: str) -> ContrastConfig:
    if network not in NETWORKS:
        raise ValueError(f"Found network {network!r}, expected one of {', '.join(NETWORKS)}.")
    return ContrastConfig(method, NETWORKS[network], neighbours, to)


def _started(task: ContrastTask, card: Card | None) -> ContrastTask:
    if card:
        task.translator.load_state_dict(ContrastModel.load(card).state_dict())
    return task
