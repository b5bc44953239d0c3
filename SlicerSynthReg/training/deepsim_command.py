"""`synthreg train deepsim`: DeepSim's extractor; `export-features --features encoder` makes a model of it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
import typer

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.files import image_files
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.spatial.intensity import rescale_intensity
from SlicerSynthReg.spatial.transform import resample
from SlicerSynthReg.synthesis.single_images import ImageSource, LabelMapImages, ShapeImages, UserImages
from SlicerSynthReg.training.anatomy import AnatomyTaskConfig
from SlicerSynthReg.training.deepsim import SURROGATES, DeepSimTask, DeepSimTaskConfig
from SlicerSynthReg.training.label_maps import read_label_maps
from SlicerSynthReg.training.loop import TrainingTask
from SlicerSynthReg.training.options import DEVICE


def deepsim(
    images: Optional[Path] = typer.Option(None, help="Folder of images; none: synthetic ones."),
    labels: Optional[Path] = typer.Option(None, help="Folder of label maps; with --images: files of the same names."),
    surrogate: str = typer.Option("segmentation", help=f"Surrogate task: {' or '.join(SURROGATES)}."),
    spacing: float = typer.Option(2.0, help="Voxel size in mm to which --images are resampled."),
    device: str = DEVICE,
) -> TrainingTask:
    """Train the feature extractor of the similarity DeepSim."""
    config = DeepSimTaskConfig(surrogate)
    if images and not labels and surrogate == "segmentation":
        raise ValueError("Found --images without --labels, expected --surrogate reconstruction for them.")
    source: ImageSource = ShapeImages(device=device)
    if images:
        source = _user_images(images, labels, spacing, device)
    elif labels:
        source = _label_map_images(labels, device)
    return DeepSimTask(config, source, device)


def _label_map_images(folder: Path, device: str) -> LabelMapImages:
    """Return label maps of 1 mm, the last for validation, rendered at 1.9 to 2.8 mm as in the anatomy training."""
    maps, view = read_label_maps(folder, validation_cases=1), AnatomyTaskConfig().view
    return LabelMapImages(maps.maps[:-1], maps.maps[-1:], maps.groups, maps.intensity_tables, view, device=device)


def _user_images(images: Path, labels: Path | None, spacing: float, device: str) -> UserImages:
    """Read a user's images in RAS at `spacing` mm, and their segmentations, renumbered from 0.

    Raises ImageError (image-missing, segmentation-missing).
    """
    paths = image_files(images)
    if not paths:
        raise ImageError(
            f"Found no image in {images.name}, expected .nii.gz, .nrrd or .mha files.", code="image-missing"
        )
    intensities, segmentations = [], []
    for path in paths:
        image = read_image(path)
        grid = image.grid.aligned_to_ras(spacing)
        intensities.append(rescale_intensity(image.resampled(grid).data[:1])[0])
        if labels is None:
            continue
        if not (labels / path.name).exists():
            raise ImageError(
                f"Found no {path.name} in {labels.name}, expected a segmentation for each image.",
                code="segmentation-missing",
            )
        segmentation = read_image(labels / path.name, kind="labels")
        segmentations.append(resample(segmentation.data.int(), segmentation.grid, grid, mode="nearest")[0])
    if labels is None:
        return UserImages(tuple(intensities), None, 1, device=device)
    values = torch.unique(torch.cat([torch.unique(s) for s in segmentations] + [torch.zeros(1, dtype=torch.int32)]))
    classes = tuple(torch.searchsorted(values, s).to(torch.uint8) for s in segmentations)
    return UserImages(tuple(intensities), classes, len(values), device=device)
