"""Feature extraction in memory: `extract_features`."""

from __future__ import annotations

from typing import Any

import torch

from SlicerSynthReg.api.images import ImageLike, as_image
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.networks.extractor import METHOD, Extractor
from SlicerSynthReg.parameters.derived_images import FeaturesParameters
from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.spatial.intensity import rescale_intensity
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.registry import Card
from SlicerSynthReg.weights.selection import features_card


def extract_features(
    image: ImageLike,
    *,
    parameters: FeaturesParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Image:
    """Return the dense features of an image (C channels) on an isotropic, RAS-oriented grid over its field of view.

    image: anything `as_image` takes. options: fields of FeaturesParameters. Raises ImageError, RequestError,
    WeightsError.
    """
    parameters = resolve_parameters(FeaturesParameters, parameters, options)
    device = select_device(parameters.device, parameters.threads)
    card = features_card(parameters.model)
    progress(0.02, "reading")
    scan = as_image(image, frame=parameters.frame, series=parameters.series, **parameters.read_options())
    grid = scan.grid.aligned_to_ras(parameters.spacing_mm or card.spacing_mm)
    progress(0.1, "extracting features")
    with torch.inference_mode():
        features = network_features(card, rescale_intensity(scan.resampled(grid).data[:1]), device)
    return Image(features, grid, name=scan.name)


def network_features(card: Card, image: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the features (C, I, J, K), on the CPU, of an image (1, I, J, K) in [0, 1].

    Of a feature network its output; of a registration network its finest features, at unit length.
    """
    if card.method == METHOD:
        return load_network(Extractor, card).to(device)(image[None].to(device)).cpu()
    return load_network(SynthMorph, card).to(device).features(image[None].to(device)).finest.cpu()
