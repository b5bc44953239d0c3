"""Options shared by the `synthreg train` commands, and the wrappers that turn functions into commands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import Signature, signature
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
import typer

from SlicerSynthReg.errors import SynthRegError
from SlicerSynthReg.report.curves import plot_training
from SlicerSynthReg.training.loop import LoopConfig, TrainingTask, join_process_group, train

DEVICE = typer.Option("cpu", help="cpu or cuda.")
LABELS = typer.Option(..., help="Folder of whole-head label maps (FreeSurfer numbers).")
VALIDATION_CASES = typer.Option(2, help="Number of label maps, the last by name, that are used for validation only.")
PRETRAINED_MODEL = typer.Option(None, help="Model whose weights initialise the network.")
CACHE = typer.Option(None, help="File that caches the preprocessed label maps.")

MODEL_NAME = typer.Argument(..., help="Name of the model, such as synthmorph-brains.")
TRAINING = typer.Option(..., help="Folder of the training.")
PROVENANCE = typer.Option(..., help="JSON file with the card's entries on data, intended use, limits and scores.")
OUT = typer.Option(..., help="Folder for the card and the weights.")

Export = TypeVar("Export", bound=Callable[..., None])


def loop_options(
    out: Path = typer.Option(..., help="Folder of checkpoints, tables and curves; an interrupted training resumes."),
    steps: int = typer.Option(10_000, help="Optimiser steps of the whole training."),
    minutes: float = typer.Option(60.0, help="Stop after this many minutes; call again to resume."),
    learning_rate: float = typer.Option(1e-3, help="Learning rate of Adam."),
) -> LoopConfig:
    """Return the loop's configuration; its parameters are options of every training."""
    return LoopConfig(str(out), steps, minutes, learning_rate)


def training_command(build: Callable[..., TrainingTask]) -> Callable[..., None]:
    """Return a command with the options of `build` and of `loop_options`: it builds the task and trains it."""
    own, shared = signature(build).parameters, signature(loop_options).parameters

    def command(**values: Any) -> None:
        join_process_group()
        torch.manual_seed(0)
        task = _usage_errors(build)(**{name: values[name] for name in own})
        config = loop_options(**{name: values[name] for name in shared})
        best = train(task, config, typer.echo)
        typer.echo(f"Best checkpoint: {best}; curves: {plot_training(Path(config.folder))}")

    command.__signature__ = Signature([*shared.values(), *own.values()])  # type: ignore[attr-defined]
    command.__annotations__ = {**get_type_hints(loop_options), **get_type_hints(build), "return": None}
    return command


def export_command(export: Export) -> Export:
    """Return `export` as a command that reports errors in its input as usage errors."""
    return _usage_errors(export)


def _usage_errors(function: Any) -> Any:
    """Return `function` with SynthRegError and ValueError raised as typer.BadParameter."""

    @functools.wraps(function)
    def wrapped(*args: Any, **values: Any) -> Any:
        try:
            return function(*args, **values)
        except (SynthRegError, ValueError) as error:
            raise typer.BadParameter(str(error)) from error

    return wrapped
