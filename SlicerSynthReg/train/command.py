"""`synthreg train`: one command a network, resumable, logged, with curves."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.report.curves import plot_training
from SlicerSynthReg.train.anatomy import AnatomyTask, AnatomyTaskConfig
from SlicerSynthReg.train.features import FeatureTask, FeatureTaskConfig
from SlicerSynthReg.train.labelmaps import LabelMaps, load_label_maps
from SlicerSynthReg.train.loop import LoopConfig, Task, train
from SlicerSynthReg.train.registration import LOSSES, RegistrationTask, RegistrationTaskConfig
from SlicerSynthReg.train.ship import Provenance, assembled, ship
from SlicerSynthReg.weights.registry import read_card

app = typer.Typer(help="Train SynthMorph on synthetic images; no scans are needed.", no_args_is_help=True)

_LABELS = typer.Option(None, help="Folder of whole-head label maps (FreeSurfer numbers); none: random shapes.")
_OUT = typer.Option(..., help="Folder of checkpoints, logs and curves; an interrupted run there goes on.")
_STEPS = typer.Option(10_000, help="Steps of the whole run.")
_MINUTES = typer.Option(60.0, help="Stop (and be resumable) after this many minutes.")
_RATE = typer.Option(1e-3, help="Learning rate of Adam.")
_HELD_OUT = typer.Option(2, help="So many label maps, the last by name, are for validation only.")
_DEVICE = typer.Option("cpu", help="cpu or cuda.")


@app.command()
def anatomy(
    out: Path = _OUT,
    labels: Path = typer.Option(..., help="Folder of whole-head label maps (FreeSurfer numbers)."),
    start: Optional[str] = typer.Option(None, help="Model whose network the training starts from."),
    steps: int = _STEPS,
    minutes: float = _MINUTES,
    learning_rate: float = _RATE,
    held_out: int = _HELD_OUT,
    device: str = _DEVICE,
) -> None:
    """The network of the brains variant: in any contrast, what lies where."""
    maps = _maps(labels)
    assert maps is not None
    task = AnatomyTask(AnatomyTaskConfig(), maps, held_out, device)
    if start:
        task.model.net.load_state_dict(SynthMorph.load(read_card(start)).net.state_dict())
    _run(task, LoopConfig(str(out), steps, minutes, learning_rate))


@app.command()
def features(
    out: Path = _OUT,
    start: Optional[str] = typer.Option(None, help="Model whose network the training starts from."),
    steps: int = _STEPS,
    minutes: float = _MINUTES,
    learning_rate: float = _RATE,
    device: str = _DEVICE,
) -> None:
    """The features of the shapes variant, from random shapes alone."""
    task = FeatureTask(FeatureTaskConfig(), device)
    if start:
        task.model.net.load_state_dict(SynthMorph.load(read_card(start)).net.state_dict())
    _run(task, LoopConfig(str(out), steps, minutes, learning_rate))


@app.command()
def registration(
    out: Path = _OUT,
    labels: Optional[Path] = _LABELS,
    features: Optional[Path] = typer.Option(None, help="Folder of an anatomy or feature training to start from."),
    loss: str = typer.Option("dice", help=f"One of {', '.join(LOSSES)}."),
    network: str = typer.Option("matching", help="matching, or unet (the paper's)."),
    steps: int = _STEPS,
    minutes: float = _MINUTES,
    learning_rate: float = _RATE,
    held_out: int = _HELD_OUT,
    device: str = _DEVICE,
) -> None:
    """The velocity of a pair; `--loss` selects the paper's training or one of its comparisons."""
    maps = _maps(labels)
    start = assembled(features) if features else None
    config = RegistrationTaskConfig(loss=loss, network=network, freeze=features is not None)
    task = RegistrationTask(config, maps, start, held_out, device)
    _run(task, LoopConfig(str(out), steps, minutes, learning_rate))


@app.command("ship")
def ship_model(
    name: str = typer.Argument(..., help="Name of the model, such as synthmorph-brains."),
    features: Path = typer.Option(..., help="Folder of the anatomy or feature training."),
    registration: Optional[Path] = typer.Option(None, help="Folder of the registration training."),
    provenance: Path = typer.Option(..., help="JSON file with what the card must say of data, use, limits and scores."),
    to: Path = typer.Option(..., help="Folder for the card and the weights."),
) -> None:
    """Best checkpoints -> a card and half-precision weights."""
    typer.echo(str(ship(name, assembled(features, registration), Provenance.read(provenance), to)))


def _maps(folder: Path | None) -> LabelMaps | None:
    if folder is None:
        return None
    paths = sorted(path for path in folder.iterdir() if path.name.endswith((".nii", ".nii.gz", ".nrrd", ".mha")))
    if not paths:
        raise typer.BadParameter(f"Found no label maps in {folder.name}, expected .nii.gz, .nrrd or .mha files.")
    return load_label_maps(paths)


def _run(task: Task, config: LoopConfig) -> None:
    torch.manual_seed(0)
    best = train(task, config, typer.echo)
    typer.echo(f"Best checkpoint: {best}; curves: {plot_training(Path(config.folder))}")
