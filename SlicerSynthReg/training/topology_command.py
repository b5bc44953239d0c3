"""`synthreg train topology` and `export-topology`: the model of topological change."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.topology.variational import Topology, TopologyConfig, feature_function
from SlicerSynthReg.training.export import Provenance, best_weights, export_model
from SlicerSynthReg.training.label_maps import read_label_maps
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import CACHE, DEVICE, MODEL_NAME, OUT, PROVENANCE, TRAINING, VALIDATION_CASES
from SlicerSynthReg.training.topology import TopologyTask, TopologyTaskConfig

METHOD = "Topology"
_FEATURE_MODEL = typer.Option("synthmorph-brains", help="Model whose encoder computes the features; '': intensities.")


def topology(
    labels: Optional[Path] = typer.Option(None, help="Folder of whole-head label maps; none: random shapes."),
    feature_model: str = _FEATURE_MODEL,
    dims: int = typer.Option(3, min=2, max=3, help="2: axial slices; 3: volumes."),
    validation_cases: int = VALIDATION_CASES,
    cache: Optional[Path] = CACHE,
    device: str = DEVICE,
) -> TrainingTask:
    """Train the model of topological change: differences of two images that no smooth warp can explain."""
    describe = feature_function(feature_model, device)
    channels = describe(torch.zeros(1, 1, 16, 16, device=device)).shape[1]
    config = TopologyTaskConfig(TopologyConfig.for_channels(channels, dims, feature_model))
    maps = read_label_maps(labels, validation_cases, cache) if labels else None
    return TopologyTask(config, maps, describe, validation_cases, device)


def export_topology(
    name: str = MODEL_NAME,
    training: Path = TRAINING,
    provenance: Path = PROVENANCE,
    out: Path = OUT,
    feature_model: str = _FEATURE_MODEL,
) -> None:
    """Write card and half-precision weights of a topology training's best checkpoint."""
    model = load_best_topology(training, feature_model)
    typer.echo(str(export_model(name, METHOD, model, Provenance.read(provenance), out)))


def load_best_topology(folder: Path, feature_model: str) -> Topology:
    """Return the model with the best averaged weights of a training; dimensions and channels follow from their
    shapes."""
    state = best_weights(folder)
    dims, channels = state["net.head.weight"].dim() - 2, len(state["log_variance"])
    model = Topology(TopologyConfig.for_channels(channels, dims, feature_model))
    model.load_state_dict(state)
    return model.eval()
