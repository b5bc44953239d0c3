"""`synthreg train healthy` and `export-healthy`: UNA, the reconstruction of healthy anatomy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

import typer

from SlicerSynthReg.healthy.una import UNA
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.training.export import Provenance, best_weights, export_model
from SlicerSynthReg.training.healthy import ABLATIONS, HealthyTask, HealthyTaskConfig
from SlicerSynthReg.training.healthy_data import read_t1_scans, read_training_data
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import (
    CACHE,
    DEVICE,
    LABELS,
    MODEL_NAME,
    OUT,
    PROVENANCE,
    TRAINING,
    VALIDATION_CASES,
)
from SlicerSynthReg.weights.registry import Card, read_card
from SlicerSynthReg.weights.selection import DEFAULT_MODEL

METHOD = "UNA"


def healthy(
    labels: Path = LABELS,
    lesions: Optional[Path] = typer.Option(None, help="Folder of lesion masks, initial shapes of synthetic lesions."),
    scans: Optional[Path] = typer.Option(None, help="Folder of real T1 scans to train on beside the label maps."),
    scan_lesions: Optional[Path] = typer.Option(
        None, help="Folder of lesion masks of --scans, with the file names of their scans."
    ),
    pretrained_model: Optional[str] = typer.Option(
        DEFAULT_MODEL, help="Registration model whose features, or UNA model whose weights, are the start; '': none."
    ),
    ablation: str = typer.Option("none", help=f"Leave out a part: one of {', '.join(ABLATIONS)}."),
    validation_cases: int = VALIDATION_CASES,
    cache: Optional[Path] = CACHE,
    device: str = DEVICE,
) -> TrainingTask:
    """Train UNA, the healthy T1 behind a scan of any contrast, on label maps and optionally real T1 scans."""
    config = HealthyTaskConfig().ablated(ablation)
    data = read_training_data(labels, lesions, validation_cases, config.samples, cache)
    if scans:
        network = SynthMorph.load(read_card(DEFAULT_MODEL))
        data = dataclasses.replace(data, scans=read_t1_scans(scans, scan_lesions, network, device))
    task = HealthyTask(config, data, device)
    if pretrained_model:
        initialise_weights(task.model, read_card(pretrained_model))
    return task


def initialise_weights(model: UNA, card: Card) -> None:
    """Copy the weights of a UNA model, or the features of a registration model, into `model`."""
    if card.method == METHOD:
        model.load_state_dict(UNA.load(card).state_dict())
    else:
        model.initialise_from(SynthMorph.load(card).net.state_dict())


def export_healthy(
    name: str = MODEL_NAME, training: Path = TRAINING, provenance: Path = PROVENANCE, out: Path = OUT
) -> None:
    """Write card and half-precision weights of a UNA training's best checkpoint."""
    typer.echo(str(export_model(name, METHOD, load_best_una(training), Provenance.read(provenance), out)))


def load_best_una(folder: Path) -> UNA:
    """Return UNA with the best averaged weights of a training, of any ablation."""
    state = best_weights(folder)
    paired = state["net.stem.0.weight"].shape[1] == 2
    model = UNA(HealthyTaskConfig().ablated("none" if paired else "single-sided").net)
    model.load_state_dict(state)
    return model.eval()
