"""`synthreg train in-context` and `export-in-context`: Neuralizer."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.in_context.neuralizer import METHOD, Neuralizer, NeuralizerConfig
from SlicerSynthReg.synthesis.episode import EpisodeConfig, EpisodeSource
from SlicerSynthReg.synthesis.in_context_tasks import TASKS
from SlicerSynthReg.synthesis.slices import SliceConfig
from SlicerSynthReg.synthesis.tissues import RIGHT_TO_LEFT, STRUCTURES
from SlicerSynthReg.training.export import Provenance, best_weights, export_model
from SlicerSynthReg.training.in_context import InContextTask, InContextTaskConfig
from SlicerSynthReg.training.label_maps import FLUID_AROUND_BRAIN, LabelMaps, read_label_maps, read_scans
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import (
    CACHE,
    DEVICE,
    LABELS,
    MODEL_NAME,
    OUT,
    PRETRAINED_MODEL,
    PROVENANCE,
    TRAINING,
)
from SlicerSynthReg.weights.registry import read_card

MARGIN = 50
"""Margin about the brain in voxels, which keeps heads whole."""


def in_context(
    labels: Path = LABELS,
    scans: Optional[Path] = typer.Option(
        None, help="CSV with the column labels and one column per contrast: scans of further training subjects."
    ),
    one_way: bool = typer.Option(False, help="Make the support path independent of the target: encoded once."),
    width: int = typer.Option(32, min=4, help="Channels of the network; 64 in the paper."),
    slice_size: int = typer.Option(96, min=32, help="Edge length of the slices in pixels."),
    max_pixel_size: float = typer.Option(2.1, min=1.0, help="Largest pixel size in mm; the smallest is 0.9."),
    episodes: int = typer.Option(4, min=1, help="Episodes per step."),
    exclude_tasks: str = typer.Option("", help=f"Tasks to exclude, separated by commas: {', '.join(TASKS)}."),
    exclude_structures: str = typer.Option(
        "", help=f"Structures to exclude from masks, separated by commas: {', '.join(STRUCTURES)}."
    ),
    validation_cases: int = typer.Option(3, help="Label maps, the last by name, that are used for validation only."),
    cache: Optional[Path] = CACHE,
    pretrained_model: Optional[str] = PRETRAINED_MODEL,
    device: str = DEVICE,
) -> TrainingTask:
    """Train a network for in-context prediction (Neuralizer)."""
    excluded = _names(exclude_tasks, TASKS, "exclude-tasks")
    hidden = _names(exclude_structures, STRUCTURES, "exclude-structures")
    maps = read_label_maps(labels, validation_cases, cache)
    slices = SliceConfig(size=slice_size, pixel_size=(0.9, max_pixel_size))
    episode = EpisodeConfig(slices, excluded_tasks=excluded)
    config = InContextTaskConfig(NeuralizerConfig(width, one_way=one_way), episode, episodes)
    training, validation = episode_sources(maps, validation_cases, hidden)
    task = InContextTask(config, training, validation, read_scans(scans) if scans else None, device)
    if pretrained_model:
        initial = Neuralizer.load(read_card(pretrained_model))
        if initial.config != config.model:
            raise RequestError(
                f"Found {pretrained_model} with the configuration {initial.config}, expected {config.model}. Choose "
                "the same width and --one-way.",
                code="configuration",
            )
        task.model.load_state_dict(initial.state_dict())
    return task


def export_in_context(
    name: str = MODEL_NAME, training: Path = TRAINING, provenance: Path = PROVENANCE, out: Path = OUT
) -> None:
    """Export the best weights of `synthreg train in-context` with a model card."""
    weights = best_weights(training)
    model = Neuralizer(infer_config(weights))
    model.load_state_dict(weights)
    typer.echo(str(export_model(name, METHOD, model, Provenance.read(provenance), out)))


def infer_config(weights: dict[str, torch.Tensor]) -> NeuralizerConfig:
    """Return the configuration of a network with these weights."""
    width, inputs = weights["embed_x.weight"].shape[:2]
    stages = 1 + len({key.split(".")[1] for key in weights if key.startswith("join_x.")})
    one_way = "blocks.0.to_context.weight" in weights
    return NeuralizerConfig(width, stages, inputs, len(weights["head.weight"]), one_way)


def episode_sources(
    maps: LabelMaps, validation_cases: int, hidden_structures: tuple[str, ...] = ()
) -> tuple[EpisodeSource, EpisodeSource]:
    """Return the sources of training and validation episodes.

    hidden_structures: names of STRUCTURES; masks of them are made in validation only. The fluid around the brain counts
    as brain, as in brain masks.
    """
    brain = torch.tensor([value in maps.brain_values or value == FLUID_AROUND_BRAIN for value in maps.values])
    training, validation = maps.split(validation_cases, MARGIN)
    values = {value for name in hidden_structures for value in STRUCTURES[name]}
    hidden = [n for n, value in enumerate(maps.values) if RIGHT_TO_LEFT.get(value, value) in values]
    tables = maps.intensity_tables
    return EpisodeSource(training, tables, brain, hidden), EpisodeSource(validation, tables, brain)


def _names(text: str, known: Collection[str], option: str) -> tuple[str, ...]:
    """Return the comma-separated names. Raises RequestError (code "name-unknown")."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RequestError(
            f"Found --{option} {unknown[0]!r}, expected names of: {', '.join(known)}. Correct the name.",
            code="name-unknown",
        )
    return names
