"""`synthreg train features-shapes`, `features-any`, `export-features`, and `import-features` for published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.networks.extractor import DEEPSIM_LEVELS, METHOD, Extractor, ExtractorConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.synthesis.ensembles import EnsembleConfig
from SlicerSynthReg.training.export import Provenance, best_weights, export_model
from SlicerSynthReg.training.features import OUTPUT, ContrastiveConfig, FeatureTask, FeatureTaskConfig
from SlicerSynthReg.training.label_maps import read_label_maps
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import DEVICE, MODEL_NAME, OUT, PRETRAINED_MODEL, PROVENANCE, TRAINING
from SlicerSynthReg.training.registration_command import unet_weights
from SlicerSynthReg.weights.registry import user_folder

TEMPLATE_SIDE, MIN_TEMPLATE_VOXELS = 40, 200


def features_shapes(pretrained_model: Optional[str] = PRETRAINED_MODEL, device: str = DEVICE) -> TrainingTask:
    """Train the features of synthmorph-shapes on SynthMorph's random shapes."""
    return _pretrained(FeatureTask(FeatureTaskConfig.shapes(), device), pretrained_model)


def features_any(
    labels: Optional[Path] = typer.Option(None, help="Folder of label maps whose structures are templates too."),
    pretrained_model: Optional[str] = PRETRAINED_MODEL,
    temperature: float = typer.Option(0.33, help="Of the label loss; the paper compares 0.33 and 0.07."),
    position_weight: float = typer.Option(0.25, help="Weight of the position loss; 0: label loss alone, as the paper."),
    within_views: bool = typer.Option(False, help="Compare labels within each view as well, as the paper."),
    foreground: float = typer.Option(2 / 3, help="Fraction of the label maps with a foreground mask."),
    device: str = DEVICE,
) -> TrainingTask:
    """Train features of any anatomy in any contrast on label ensembles (anatomix)."""
    losses = ContrastiveConfig(
        temperature=temperature,
        within_views=within_views,
        position_levels=(OUTPUT,) if position_weight else (),
        position_weight=position_weight,
    )
    config = FeatureTaskConfig(EnsembleConfig(foreground=foreground), losses=losses)
    return _pretrained(FeatureTask(config, device, template_masks(labels) if labels else ()), pretrained_model)


def _pretrained(task: FeatureTask, model: str | None) -> FeatureTask:
    if model:
        task.model.net.load_state_dict(unet_weights(model))
    return task


def template_masks(folder: Path) -> tuple[torch.Tensor, ...]:
    """Return the mask of each label of at least MIN_TEMPLATE_VOXELS of each map in `folder`, in its bounding cube, as
    (A, A, A) uint8, 255 inside."""
    maps = read_label_maps(folder, validation_cases=0)
    masks = []
    for labels in maps.maps:
        for value, count in enumerate(torch.bincount(labels.flatten().long()).tolist()):
            if value and count >= MIN_TEMPLATE_VOXELS:
                masks.append(_bounding_cube(labels == value))
    return tuple(masks)


def _bounding_cube(mask: torch.Tensor) -> torch.Tensor:
    """Return a mask in its bounding cube, at most TEMPLATE_SIDE voxels a side."""
    inside = mask.nonzero()
    low, high = inside.min(0).values, inside.max(0).values + 1
    side = int((high - low).max())
    cube = torch.zeros((1, 1, side, side, side))
    i, j, k = ((side - (high - low)) // 2).tolist()
    a, b, c = (high - low).tolist()
    cube[0, 0, i : i + a, j : j + b, k : k + c] = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return (resize(cube, (min(side, TEMPLATE_SIDE),) * 3)[0, 0] * 255).to(torch.uint8)


def export_features(
    name: str = MODEL_NAME,
    training: Path = TRAINING,
    provenance: Path = PROVENANCE,
    out: Path = OUT,
    features: str = typer.Option("output", help="output (features-any) or encoder (deepsim)."),
) -> None:
    """Write card and half-precision weights of a features-any or deepsim training's best checkpoint."""
    if features not in ("output", "encoder"):
        raise ValueError(f"Found --features {features}, expected output or encoder.")
    net = {key.removeprefix("net."): value for key, value in best_weights(training).items() if key.startswith("net.")}
    levels = DEEPSIM_LEVELS if features == "encoder" else ()
    extractor = Extractor(ExtractorConfig(unet=unet_config(net), encoder_levels=levels))
    extractor.net.load_state_dict(net)
    typer.echo(str(export_model(name, METHOD, extractor, Provenance.read(provenance), out)))


def unet_config(state: dict[str, torch.Tensor]) -> UNetConfig:
    """Return the configuration of the U-Net with these weights."""
    count = 1 + sum(key.startswith("down.") and key.endswith(".0.0.weight") for key in state)
    widths = (state["stem.0.weight"].shape[0], *(state[f"down.{n}.0.0.weight"].shape[0] for n in range(count - 1)))
    skips = state["merge.0.0.weight"].shape[1] == 2 * widths[0]
    return UNetConfig(state["stem.0.weight"].shape[1], state["head.weight"].shape[0], widths, skips=skips)


def import_features(
    file: Path = typer.Argument(..., help="The authors' checkpoint of anatomix, as downloaded."),
    name: str = typer.Option("anatomix", help="Name of the model."),
    out: Optional[Path] = typer.Option(None, help="Folder for card and weights; default: SYNTHREG_WEIGHTS."),
) -> None:
    """Write card and weights of the network that the authors of anatomix published."""
    folder = out or user_folder()
    if folder is None:
        raise ValueError("Found neither --out nor SYNTHREG_WEIGHTS, expected a folder for the model.")
    extractor = Extractor(ExtractorConfig(unet=None, unit_length=False, window=128, overlap=0.4))
    try:
        extractor.net.load_state_dict(read_published(file))
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"Found a file that does not hold the published network ({str(error).splitlines()[0]}), expected "
            "anatomix.pth, 66 numbered layers from model.0 to model.65.",
            code="weights-mismatch",
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
    typer.echo(str(export_model(name, METHOD, extractor, provenance, folder)))


def read_published(file: Path) -> dict[str, torch.Tensor]:
    """Return the state of `AnatomixNet` in the authors' file, without containers and prefixes of compiled models."""
    state = torch.load(file, weights_only=True, map_location="cpu")
    for container in ("state_dict", "model_state_dict"):
        state = state.get(container, state)
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("no table of tensors")
    return {key.replace("_orig_mod.", "").replace("module.", ""): value for key, value in state.items()}
