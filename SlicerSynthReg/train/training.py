"""What every training command shares: the loop's options, the run itself and its curves."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Signature, signature
from pathlib import Path
from typing import Any, get_type_hints

import torch
import typer

from SlicerSynthReg.report.curves import plot_training
from SlicerSynthReg.train.labelmaps import LabelMaps, load_label_maps
from SlicerSynthReg.train.loop import LoopConfig, Task, train
from SlicerSynthReg.volume.suffixes import image_files

app = typer.Typer(help="Train models; those on synthetic images need no scans.", no_args_is_help=True)
DEVICE = typer.Option("cpu", help="cpu or cuda.")


def loop_options(
    out: Path = typer.Option(..., help="Folder of checkpoints, logs and curves; an interrupted run there goes on."),
    steps: int = typer.Option(10_000, help="Steps of the whole run."),
    minutes: float = typer.Option(60.0, help="Stop (and be resumable) after this many minutes."),
    learning_rate: float = typer.Option(1e-3, help="Learning rate of Adam."),
) -> LoopConfig:
    """The options that every training has."""
    return LoopConfig(str(out), steps, minutes, learning_rate)


def training(build: Callable[..., Task]) -> Callable[..., Task]:
    """Makes a command of `build`: its own options and the loop's; it builds the task, the loop trains it."""
    own, shared = signature(build).parameters, signature(loop_options).parameters

    def command(**given: Any) -> None:
        torch.manual_seed(0)
        task = build(**{name: given[name] for name in own})
        config = loop_options(**{name: given[name] for name in shared})
        best = train(task, config, typer.echo)
        typer.echo(f"Best checkpoint: {best}; curves: {plot_training(Path(config.folder))}")

    command.__signature__ = Signature([*shared.values(), *own.values()])  # type: ignore[attr-defined]
    command.__annotations__ = {**get_type_hints(loop_options), **get_type_hints(build), "return": None}
    app.command(build.__name__.replace("_", "-"), help=build.__doc__)(command)
    return build


def label_maps(folder: Path, held_out: int, cache: Path | None = None) -> LabelMaps:
    """The label maps of a folder, of which `held_out` are not to be trained on.

    cache: file in which they are kept as read (some 3 s a map are saved at the next start); read anew when a map has
    changed.
    """
    paths = image_files(folder)
    if len(paths) <= held_out:
        raise typer.BadParameter(
            f"Found {len(paths)} label maps in {folder.name} with {held_out} held out, expected .nii.gz, .nrrd or "
            ".mha files to train on."
        )
    state = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths]
    if cache and cache.exists():
        kept = torch.load(cache, weights_only=True)
        if kept["state"] == state:
            return LabelMaps(tuple(kept["maps"]), tuple(kept["values"]))
    maps = load_label_maps(paths)
    if cache:
        torch.save({"state": state, "maps": list(maps.maps), "values": list(maps.values)}, cache)
    return maps
