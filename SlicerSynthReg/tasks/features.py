"""The features task: an image in, its channels as a network sees them out, for other programs to register by."""

from __future__ import annotations

from pathlib import Path

import torch

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.nets.extractor import METHOD, Extractor
from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.features_parameters import FeaturesParameters
from SlicerSynthReg.tasks.loaded import loaded
from SlicerSynthReg.tasks.model import features_card
from SlicerSynthReg.tasks.reading import read_image
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import Card


def features_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """One 4-D image on an upright (RAS) grid over the image, a channel a volume."""
    parameters = FeaturesParameters(**request.parameters)
    device = set_up(parameters)
    card = features_card(parameters.model)
    progress(0.02, "reading")
    image = read_image(request.inputs["image"], parameters, parameters.frame, parameters.series)
    grid = image.grid.aligned_to_ras(parameters.spacing_mm or card.spacing_mm)
    progress(0.1, "looking at the image")
    with torch.inference_mode():
        seen = described(card, unit_intensities(image.resampled(grid).data[:1]), device)
    progress(0.8, "writing")
    write_volume(Volume(seen, grid, name=image.name), workspace / "features.nii.gz")
    report = {"model": card.name, "channels": len(seen), "spacing_mm": float(grid.spacing[0])}
    return TaskOutcome({"features": "features.nii.gz"}, report, [])


def described(card: Card, image: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(1, I, J, K) in [0, 1] -> (C, I, J, K) in memory: a feature network's channels; of a registration's network the
    finest, at unit length, which its structures are told by."""
    if card.method == METHOD:
        return loaded(Extractor, card).to(device)(image[None].to(device)).cpu()
    return loaded(SynthMorph, card).to(device).features(image[None].to(device)).finest.cpu()
