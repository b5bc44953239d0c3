"""`synthreg train contrast` and `export-contrast`: native <-> arterial CT, on phantoms or a folder of pairs (MFM)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.contrast.config import METHODS, TIMES
from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.errors import ImageError, WeightsError
from SlicerSynthReg.networks.slice_networks import SLICE_NETWORKS
from SlicerSynthReg.synthesis.ct.phantom import PhantomConfig
from SlicerSynthReg.training.contrast import ContrastTask, ContrastTaskConfig
from SlicerSynthReg.training.ct_pairs import PairPool, PhantomSlices, SlicePair, pair_folders, read_pair
from SlicerSynthReg.training.export import Provenance, best_weights, export_model
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import DEVICE, MODEL_NAME, OUT, PROVENANCE, TRAINING
from SlicerSynthReg.weights.registry import read_card

METHOD = "MFM"
_METHOD = typer.Option("flow", help=f"One of {', '.join(METHODS)}; the last two are comparison methods.")
_NETWORK = typer.Option("timeresnet", help=f"One of {', '.join(SLICE_NETWORKS)}.")
_TARGET_PHASE = typer.Option("native", help=f"Of comparison methods: {' or '.join(TIMES)}; flow matching has both.")
_NEIGHBOURS = typer.Option(1, min=0, help="Adjacent slices on either side; 0: 2-D, as the paper.")
VALIDATION_SEED = 1_000_000
"""Phantoms with this and higher seeds are used for validation and evaluation only."""
VALIDATION_SLICES = 8


def contrast(
    pairs: Optional[Path] = typer.Option(
        None, help="Folder of patients, each a folder with native.nii.gz and contrast.nii.gz; none: phantoms."
    ),
    method: str = _METHOD,
    network: str = _NETWORK,
    target_phase: str = _TARGET_PHASE,
    neighbours: int = _NEIGHBOURS,
    shared_noise: float = typer.Option(
        1.0, min=0.0, max=1.0, help="Of phantoms: 1: the same noise in both images; 0: independent noise."
    ),
    augment: Optional[bool] = typer.Option(
        None, "--augment/--no-augment", help="Flips, rotations and affine maps (MFM); default: with --pairs only."
    ),
    batch_size: int = typer.Option(4, min=1, help="Slices in a step."),
    crop: int = typer.Option(192, min=32, help="Pixels along a crop's side; the paper's slices have 512."),
    validation_cases: int = typer.Option(3, min=1, help="Patients, the last by name, used for validation only."),
    pixel_mm: Optional[float] = typer.Option(None, min=0.1, help="Downsample pairs to this pixel size; default: keep."),
    pretrained_model: Optional[str] = typer.Option(
        None, help="Model whose weights are the start; network, method and neighbours are then its own."
    ),
    device: str = DEVICE,
) -> TrainingTask:
    """Train the conversion between native and arterial CT."""
    card = read_card(pretrained_model) if pretrained_model else None
    model = ContrastConfig.from_card(card.architecture) if card else _config(method, network, neighbours, target_phase)
    config = ContrastTaskConfig(model, batch_size, crop, pairs is not None if augment is None else augment)
    if pairs is None:
        pool, validation = _phantoms(shared_noise, validation_cases)
    else:
        pool, validation = _patients(pairs, validation_cases, pixel_mm)
    try:
        task = ContrastTask(config, pool, validation, device)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    if card:
        task.translator.load_state_dict(ContrastModel.load(card).state_dict())
    return task


def _phantoms(shared_noise: float, validation_cases: int) -> tuple[PairPool, list[SlicePair]]:
    """Return random phantoms to train on, and phantoms of few slices to validate on."""
    phantoms = PhantomSlices(phantom=PhantomConfig(zoom=(1.0, 1.0), shared_noise=shared_noise))
    short = dataclasses.replace(phantoms, count=VALIDATION_SLICES)
    return PairPool(phantoms.make), [short.make(VALIDATION_SEED + n) for n in range(validation_cases)]


def _patients(folder: Path, validation_cases: int, pixel_mm: float | None) -> tuple[PairPool, list[SlicePair]]:
    """Return the patients of a folder to train on and to validate on. Raises ImageError (too-few-pairs)."""
    folders = pair_folders(folder)
    if len(folders) <= validation_cases:
        raise ImageError(
            f"Found {len(folders)} pairs in {folder.name} and {validation_cases} validation cases, expected some to "
            "train on.",
            code="too-few-pairs",
        )
    numbers = range(len(folders) - validation_cases)
    pool = PairPool(lambda n: read_pair(folders[n], pixel_mm), numbers, size=4, reuse=50)
    return pool, [read_pair(folder, pixel_mm) for folder in folders[-validation_cases:]]


def export_contrast(
    name: str = MODEL_NAME,
    training: Path = TRAINING,
    provenance: Path = PROVENANCE,
    out: Path = OUT,
    method: str = _METHOD,
    network: str = _NETWORK,
    target_phase: str = _TARGET_PHASE,
    neighbours: int = _NEIGHBOURS,
) -> None:
    """Write card and half-precision weights of a contrast training's best checkpoint."""
    model = load_best_contrast(training, _config(method, network, neighbours, target_phase))
    typer.echo(str(export_model(name, METHOD, model, Provenance.read(provenance), out)))


def load_best_contrast(folder: Path, config: ContrastConfig) -> ContrastModel:
    """Return the model with the best averaged weights of a training.

    Raises WeightsError (checkpoint-missing; weights-mismatch if they are another network's).
    """
    weights, model = best_weights(folder), ContrastModel(config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise WeightsError(
            f"Found weights of another network in {folder.name}, expected those that the options describe. Give the "
            "network, method and neighbours of the training.",
            code="weights-mismatch",
        ) from error
    return model.eval().to(memory_format=torch.channels_last)


def _config(method: str, network: str, neighbours: int, target_phase: str) -> ContrastConfig:
    if network not in SLICE_NETWORKS:
        raise ValueError(f"Found network {network!r}, expected one of {', '.join(SLICE_NETWORKS)}.")
    return ContrastConfig(method, SLICE_NETWORKS[network], neighbours, target_phase)
