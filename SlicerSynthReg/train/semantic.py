"""Training what DeepSim compares with: a network that segments or rebuilds images, whose encoder is kept (paper 1).

`synthreg train deepsim` needs no data: it learns the kinds of shapes in label ensembles. On label maps it learns their
labels in any contrast; on a user's own images their segmentations or, without such, the images themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import torch
import typer
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig
from SlicerSynthReg.synth.deform import DeformConfig
from SlicerSynthReg.synth.pair import ViewConfig
from SlicerSynthReg.synth.pictures import KindPictures, MapPictures, OwnPictures, Pictures
from SlicerSynthReg.train.loop import Task
from SlicerSynthReg.train.training import DEVICE, label_maps, training
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.suffixes import image_files

SURROGATES = ("segmentation", "reconstruction")


@dataclass(frozen=True)
class SemanticTaskConfig:
    """surrogate: one of SURROGATES. widths: channels by level; the paper's three stages are the last three. batch:
    images a step."""

    surrogate: str = "segmentation"
    widths: tuple[int, ...] = (8, 32, 64, 128)
    batch: int = 2

    def __post_init__(self) -> None:
        if self.surrogate not in SURROGATES:
            raise ValueError(f"Found surrogate {self.surrogate!r}, expected one of {', '.join(SURROGATES)}.")


class SemanticModel(nn.Module):
    """The U-Net; without its skips where it rebuilds images, or nothing would have to pass the bottleneck."""

    def __init__(self, config: SemanticTaskConfig, classes: int) -> None:
        super().__init__()
        segments = config.surrogate == "segmentation"
        self.net = UNet(UNetConfig(1, 16, config.widths, skips=segments))
        self.answer = nn.Conv3d(16, classes if segments else 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.answer(self.net(images.contiguous(memory_format=torch.channels_last_3d)))


class SemanticTask:
    """Cross-entropy of the classes, or the mean squared difference of the rebuilt image (a sigmoid's), as the paper."""

    def __init__(self, config: SemanticTaskConfig, pictures: Pictures, device: str = "cpu") -> None:
        self.config, self.pictures = config, pictures
        self.model = SemanticModel(config, pictures.classes).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        drawn = [self.pictures(generator) for _ in range(self.config.batch)]
        images = torch.cat([image for image, _ in drawn])
        out = self.model(images)
        if self.config.surrogate == "reconstruction":
            return {"loss": F.mse_loss(torch.sigmoid(out), images)}
        return {"loss": F.cross_entropy(out, torch.cat([_given(classes) for _, classes in drawn]))}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Unseen images: mean Dice of the classes that occur, or the peak signal-to-noise ratio in dB."""
        found, true, both = torch.zeros(3, self.pictures.classes).unbind()
        error = 0.0
        for n in range(12):
            image, classes = self.pictures(torch.Generator().manual_seed(10_000_000 + n), unseen=True)
            out = model(image)
            error += float(F.mse_loss(torch.sigmoid(out[:, :1]), image)) / 12
            if self.config.surrogate == "segmentation":
                guess, truth = out.argmax(1).flatten().cpu(), _given(classes).flatten().cpu()
                count = self.pictures.classes
                found += torch.bincount(guess, minlength=count)
                true += torch.bincount(truth, minlength=count)
                both += torch.bincount(truth[guess == truth], minlength=count)
        if self.config.surrogate == "reconstruction":
            return {"score": float(-10 * torch.log10(torch.tensor(max(error, 1e-9))))}
        dice = 2 * both / (found + true).clamp_min(1)
        return {"score": float(dice[true > 0].mean())}


def _given(classes: torch.Tensor | None) -> torch.Tensor:
    if classes is None:
        raise ValueError("Found images without segmentations, expected them for --surrogate segmentation.")
    return classes.long()


@training
def deepsim(
    images: Optional[Path] = typer.Option(None, help="Folder of your own images; none: synthetic ones."),
    labels: Optional[Path] = typer.Option(None, help="Folder of label maps; of your images: files of the same names."),
    surrogate: str = typer.Option("segmentation", help=f"What is learned: {' or '.join(SURROGATES)}."),
    spacing: float = typer.Option(2.0, help="Voxel size in mm of your images as they are compared later."),
    device: str = DEVICE,
) -> Task:
    """The extractor of DeepSim: a network whose encoder tells what an image shows."""
    try:
        config = SemanticTaskConfig(surrogate)
        if images and not labels and surrogate == "segmentation":
            raise ValueError("Found --images without --labels, expected --surrogate reconstruction for them.")
        pictures: Pictures = KindPictures(device=device)
        if images:
            pictures = _own(images, labels, spacing, device)
        elif labels:
            pictures = _of_maps(labels, device)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return SemanticTask(config, pictures, device)


def _of_maps(folder: Path, device: str) -> MapPictures:
    """Label maps at 1 mm, of which the last is unseen, seen at 2 mm and a little more."""
    maps = label_maps(folder, held_out=1)
    view = ViewConfig(
        DeformConfig((8, 16, 32), 1.0, 5, 20.0, 32.0, 0.12, 0.08, (1.9, 2.8)),
        ContrastConfig(scan_like=0.6),
        ArtefactConfig(thick_slices=0.2, crop=0.1),
    )
    return MapPictures(maps.maps[:-1], maps.maps[-1:], maps.groups, maps.looks, view, device=device)


def _own(images: Path, labels: Path | None, spacing: float, device: str) -> OwnPictures:
    """A user's images, upright at `spacing` mm, and their segmentations, renumbered from 0."""
    paths = image_files(images)
    if not paths:
        raise ValueError(f"Found no image in {images.name}, expected .nii.gz, .nrrd or .mha files.")
    seen, maps = [], []
    for path in paths:
        volume = read_volume(path)
        grid = volume.grid.aligned_to_ras(spacing)
        seen.append(unit_intensities(volume.resampled(grid).data[:1])[0])
        if labels is None:
            continue
        if not (labels / path.name).exists():
            raise ValueError(f"Found no {path.name} in {labels.name}, expected a segmentation for each image.")
        one = read_volume(labels / path.name, kind="labels")
        maps.append(resample(one.data.int(), one.grid, grid, mode="nearest")[0])
    if labels is None:
        return OwnPictures(tuple(seen), None, 1, device=device)
    values = torch.unique(torch.cat([torch.unique(one) for one in maps] + [torch.zeros(1, dtype=torch.int32)]))
    numbered = tuple(torch.searchsorted(values, one).to(torch.uint8) for one in maps)
    return OwnPictures(tuple(seen), numbered, len(values), device=device)
