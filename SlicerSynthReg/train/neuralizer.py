"""Neuralizer's training, `synthreg train context`, and what makes a model of it, `synthreg train ship-context`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig
from SlicerSynthReg.synth.question import QuestionConfig, Source
from SlicerSynthReg.synth.slices import SliceConfig
from SlicerSynthReg.synth.tasks import TASKS
from SlicerSynthReg.synth.tissues import ANATOMY, RIGHT_TO_LEFT
from SlicerSynthReg.train.context import ContextTask, ContextTaskConfig
from SlicerSynthReg.train.labelmaps import LabelMaps
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.scans import read_scans
from SlicerSynthReg.train.ship import Provenance
from SlicerSynthReg.train.training import DEVICE, app, label_maps, training
from SlicerSynthReg.weights.registry import Card, read_card, save_model

MARGIN = 50
"""Voxels kept about the brain, so that heads are seen whole."""


@training
def context(
    labels: Path = typer.Option(..., help="Folder of whole-head label maps (FreeSurfer numbers)."),
    scans: Optional[Path] = typer.Option(
        None, help="CSV with a column labels and one column a contrast: files of people who are trained on as well."
    ),
    one_way: bool = typer.Option(False, help="Examples do not look at the target, so that they are encoded once."),
    width: int = typer.Option(32, min=4, help="Channels of the network; the paper has 64."),
    side: int = typer.Option(96, min=32, help="Pixels along a slice's edge."),
    coarsest: float = typer.Option(2.1, min=1.0, help="Largest pixel in mm; the smallest is 0.9."),
    questions: int = typer.Option(4, min=1, help="Questions a step."),
    without: str = typer.Option("", help=f"Tasks left out, with commas between them, of: {', '.join(TASKS)}."),
    without_structures: str = typer.Option(
        "", help=f"Structures that no mask is made of, with commas between them, of: {', '.join(ANATOMY)}."
    ),
    held_out: int = typer.Option(3, help="So many label maps, the last by name, are for validation only."),
    cache: Optional[Path] = typer.Option(None, help="File that keeps the label maps as read, for a quicker start."),
    start: Optional[str] = typer.Option(None, help="Model of the same form that goes on."),
    device: str = DEVICE,
) -> Task:
    """The network that does what its examples show (Neuralizer)."""
    left_out = _listed(without, TASKS, "without")
    hidden = _listed(without_structures, ANATOMY, "without-structures")
    maps = label_maps(labels, held_out, cache)
    question = QuestionConfig(SliceConfig(side=side, pixel=(0.9, coarsest)), without=left_out)
    config = ContextTaskConfig(NeuralizerConfig(width, one_way=one_way), question, questions)
    known, unseen = sources(maps, held_out, hidden)
    task = ContextTask(config, known, unseen, read_scans(scans) if scans else None, device)
    if start:
        begun = Neuralizer.load(read_card(start))
        if begun.config != config.net:
            raise typer.BadParameter(f"Found {start} of the form {begun.config}, expected {config.net}.")
        task.model.load_state_dict(begun.state_dict())
    return task


@app.command("ship-context")
def ship_context(
    name: str = typer.Argument(..., help="Name of the model, such as neuralizer-brains."),
    training: Path = typer.Option(..., help="Folder of the training."),
    provenance: Path = typer.Option(..., help="JSON file with what the card must say of data, use, limits and scores."),
    to: Path = typer.Option(..., help="Folder for the card and the weights."),
) -> None:
    """The best averaged weights of `synthreg train context` -> a card and half-precision weights."""
    best = training / "best.pt"
    if not best.exists():
        raise typer.BadParameter(f"Found no best.pt in {training.name}, expected a training that was validated once.")
    weights = torch.load(best, weights_only=True, map_location="cpu")["model"]
    config = config_of(weights)
    card = Card(
        name=name,
        method="Neuralizer",
        architecture=config.to_card(),
        sha256="",
        **dataclasses.asdict(Provenance.read(provenance)),
    )
    typer.echo(str(save_model(card, weights, to)))


def config_of(weights: dict[str, torch.Tensor]) -> NeuralizerConfig:
    """The configuration that a network's weights tell."""
    width, inputs = weights["embed_x.weight"].shape[:2]
    stages = 1 + len({key.split(".")[1] for key in weights if key.startswith("join_x.")})
    one_way = "blocks.0.to_context.weight" in weights
    return NeuralizerConfig(width, stages, inputs, len(weights["head.weight"]), one_way)


def sources(maps: LabelMaps, held_out: int, hidden_structures: tuple[str, ...] = ()) -> tuple[Source, Source]:
    """People to train on and people to validate on; masks of `hidden_structures` (names of `ANATOMY`) are made of the
    latter only. The fluid about the brain counts as brain, as it does in brain masks."""
    brain = torch.tensor([value in maps.anatomy or value == 24 for value in maps.values])
    known, unseen = maps.people(held_out, MARGIN)
    numbers = {number for name in hidden_structures for number in ANATOMY[name]}
    hidden = [n for n, value in enumerate(maps.values) if RIGHT_TO_LEFT.get(value, value) in numbers]
    return Source(known, maps.looks, brain, hidden), Source(unseen, maps.looks, brain)


def _listed(text: str, known: Collection[str], option: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    strange = [name for name in names if name not in known]
    if strange:
        raise typer.BadParameter(f"Found --{option} {strange[0]!r}, expected names of: {', '.join(known)}.")
    return names
