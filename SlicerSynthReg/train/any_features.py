"""Features of any anatomy: `synthreg train features-any`, `import-features` for published ones, and `ship-features`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.nets.extractor import METHOD, SEMANTIC_LEVELS, Extractor, ExtractorConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.synth.ensembles import EnsembleConfig
from SlicerSynthReg.train.features import FeatureTask, FeatureTaskConfig
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.ship import Provenance, best_weights
from SlicerSynthReg.train.synthmorph import network_of
from SlicerSynthReg.train.training import DEVICE, app, label_maps, training
from SlicerSynthReg.weights.registry import Card, own_folder, save_model

_SIDE, _FEWEST = 40, 200


@training
def features_any(
    labels: Optional[Path] = typer.Option(None, help="Folder of label maps whose shapes are painted too; none: ours."),
    start: Optional[str] = typer.Option(None, help="Model whose network the training starts from."),
    temperature: float = typer.Option(0.33, help="Of the comparison of labels (the paper compares 0.33 and 0.07)."),
    place: float = typer.Option(0.25, help="Weight of telling places apart, 0: labels alone, as in the paper."),
    within_views: bool = typer.Option(False, help="Compare labels within each view as well, as in the paper."),
    foreground: float = typer.Option(2 / 3, help="Share of the label maps with a foreground mask."),
    device: str = DEVICE,
) -> Task:
    """Features of any anatomy in any contrast, from shapes that never existed (anatomix)."""
    engine = EnsembleConfig(foreground=foreground)
    levels = (-1,) if place else ()
    config = FeatureTaskConfig(
        engine, temperature=temperature, place=place, place_levels=levels, within_views=within_views
    )
    task = FeatureTask(config, device, masks_of(labels) if labels else ())
    if start:
        task.model.net.load_state_dict(network_of(start))
    return task


def masks_of(folder: Path) -> tuple[torch.Tensor, ...]:
    """Every label of every map in `folder` with some volume, in its bounding cube, as (A, A, A) uint8, 255 inside."""
    maps = label_maps(folder, held_out=0)
    masks = []
    for one in maps.maps:
        for value, count in enumerate(torch.bincount(one.flatten().long()).tolist()):
            if value and count >= _FEWEST:
                masks.append(_cubed(one == value))
    return tuple(masks)


def _cubed(mask: torch.Tensor) -> torch.Tensor:
    inside = mask.nonzero()
    low, high = inside.min(0).values, inside.max(0).values + 1
    side = int((high - low).max())
    cube = torch.zeros((1, 1, side, side, side))
    i, j, k = ((side - (high - low)) // 2).tolist()
    a, b, c = (high - low).tolist()
    cube[0, 0, i : i + a, j : j + b, k : k + c] = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return (resize(cube, (min(side, _SIDE),) * 3)[0, 0] * 255).to(torch.uint8)


@app.command("ship-features")
def ship_features(
    name: str = typer.Argument(..., help="Name of the model, such as features-any."),
    training: Path = typer.Option(..., help="Folder of the training."),
    provenance: Path = typer.Option(..., help="JSON file with what the card must say of data, use, limits and scores."),
    to: Path = typer.Option(..., help="Folder for the card and the weights."),
    reads: str = typer.Option("output", help="output, as features-any is trained, or encoder, as deepsim."),
) -> None:
    """Best checkpoint of features-any or deepsim -> a card and half-precision weights."""
    if reads not in ("output", "encoder"):
        raise typer.BadParameter(f"Found --reads {reads}, expected output or encoder.")
    net = {k[len("net.") :]: v for k, v in best_weights(training).items() if k.startswith("net.")}
    encoder = SEMANTIC_LEVELS if reads == "encoder" else ()
    extractor = Extractor(ExtractorConfig(unet=unet_of(net), encoder=encoder))
    extractor.net.load_state_dict(net)
    typer.echo(str(_written(name, extractor, Provenance.read(provenance), to)))


def unet_of(state: dict[str, torch.Tensor]) -> UNetConfig:
    """The configuration of the U-Net whose tensors these are."""
    count = 1 + sum(key.startswith("down.") and key.endswith(".0.0.weight") for key in state)
    widths = (state["stem.0.weight"].shape[0], *(state[f"down.{n}.0.0.weight"].shape[0] for n in range(count - 1)))
    skips = state["merge.0.0.weight"].shape[1] == 2 * widths[0]
    return UNetConfig(state["stem.0.weight"].shape[1], state["head.weight"].shape[0], widths, skips=skips)


@app.command("import-features")
def import_features(
    file: Path = typer.Argument(..., help="The authors' checkpoint of anatomix, as downloaded."),
    name: str = typer.Option("anatomix", help="Name of the model."),
    to: Optional[Path] = typer.Option(None, help="Folder for the card and the weights; SYNTHREG_WEIGHTS otherwise."),
) -> None:
    """The network that anatomix's authors published, as a model of this project."""
    folder = to or own_folder()
    if folder is None:
        raise typer.BadParameter("Found neither --to nor SYNTHREG_WEIGHTS, expected a folder for the model.")
    extractor = Extractor(ExtractorConfig(unet=None, unit=False, window=128, overlap=0.4))
    try:
        extractor.net.load_state_dict(published(file))
    except (RuntimeError, ValueError) as error:
        raise typer.BadParameter(
            f"Found a file that does not hold the published network ({str(error).splitlines()[0]}), expected "
            "anatomix.pth, 66 numbered layers from model.0 to model.65."
        ) from error
    provenance = Provenance(
        training_data="120,000 synthetic label ensembles (by its authors)",
        intended_use="Features for registration and for few-shot segmentation, as published by Dey et al. (anatomix).",
        limits="Not trained, checked or measured by this project.",
        spacing_mm=0.0,
        modalities="any",
        trained_with="by its authors",
        licence="MIT",
    )
    typer.echo(str(_written(name, extractor, provenance, folder)))


def published(file: Path) -> dict[str, torch.Tensor]:
    """State of `AnatomixNet` in the authors' file: compiled models' prefixes and containers are taken off."""
    state = torch.load(file, weights_only=True, map_location="cpu")
    for container in ("state_dict", "model_state_dict"):
        state = state.get(container, state)
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("no table of tensors")
    return {key.replace("_orig_mod.", "").replace("module.", ""): value for key, value in state.items()}


def _written(name: str, extractor: Extractor, provenance: Provenance, folder: Path) -> Path:
    card = Card(
        name=name,
        method=METHOD,
        architecture=extractor.config.to_card(),
        sha256="",
        **dataclasses.asdict(provenance),
    )
    return save_model(card, extractor.state_dict(), folder)
