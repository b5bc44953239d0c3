"""Augmentation for fine-tuning: random crops with spatial and intensity transforms (anatomix, table 9).

The paper's MONAI transforms are replaced by those of the synthesis room: fine-tuning runs in Slicer's Python, without
MONAI or TorchIO. Departures: smaller affine transforms, since minutes of training cannot learn larger ones; additional
smooth warps and thick slices; blur up to 0.8 voxels; sharpening by one Gaussian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig, ArtefactDraw, apply_artefacts, draw_artefacts
from SlicerSynthReg.synthesis.deformation import (
    DeformationConfig,
    DeformationDraw,
    draw_deformation,
    warp_image,
    warp_index,
    warp_labels,
)
from SlicerSynthReg.synthesis.scanner import gibbs_ringing


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges of the random draws: bounds of uniform draws, or SDs; lengths in voxels.

    crop_size: edge length. label_probability: probability that the crop is centred on a labelled voxel, all labels
    equally likely. rare_probability: of ringing, and of sharpening. ringing: share of k-space that is cut off.
    """

    crop_size: int = 64
    label_probability: float = 0.7
    deform: DeformationConfig = field(
        default_factory=lambda: DeformationConfig((8, 16), 0.6, 5, rotation_degrees=12.0, scale=0.12, shear=0.05)
    )
    artefacts: ArtefactConfig = field(default_factory=lambda: ArtefactConfig(thick_slices=0.15, crop=0.0))
    gamma_sd: float = 0.25
    gain: float = 0.2
    bias_sd: float = 0.2
    blur_sd: float = 0.8
    noise_sd: float = 0.05
    rare_probability: float = 0.33
    ringing: float = 0.33
    sharpen: float = 3.0


@dataclass(frozen=True)
class AugmentationDraw:
    """One draw. centre: voxel at the centre of the crop. bias, noise: (SD, seed). ringing: share of k-space that is cut
    off; sharpen: gain of unsharp masking with SD 1; 0 for neither."""

    centre: tuple[int, int, int]
    crop_size: int
    deform: DeformationDraw
    artefacts: ArtefactDraw
    gamma: float
    gain: float
    bias: tuple[float, int]
    blur_sd: float
    noise: tuple[float, int]
    ringing: float
    sharpen: float


def draw_augmentation(config: AugmentationConfig, labels: torch.Tensor, generator: torch.Generator) -> AugmentationDraw:
    """Draw an augmentation of a volume with class indices `labels` (I, J, K), 0 the background."""
    voxels = labels.nonzero()
    if len(voxels) and draw.chance(generator, config.label_probability):
        values = labels[labels != 0]
        present = values.unique()
        voxels = voxels[values == present[draw.integer(generator, 0, len(present) - 1)]]
        centre = voxels[draw.integer(generator, 0, len(voxels) - 1)].tolist()
    else:
        centre = [draw.integer(generator, 0, n - 1) for n in labels.shape]
    return AugmentationDraw(
        (centre[0], centre[1], centre[2]),
        config.crop_size,
        draw_deformation(config.deform, generator),
        draw_artefacts(config.artefacts, generator),
        math.exp(draw.normal(generator, config.gamma_sd)),
        1 + draw.uniform(generator, -config.gain, config.gain),
        (draw.uniform(generator, 0, config.bias_sd), draw.seed(generator)),
        draw.uniform(generator, 0, config.blur_sd),
        (draw.uniform(generator, 0, config.noise_sd), draw.seed(generator)),
        draw.uniform(generator, 0, config.ringing) if draw.chance(generator, config.rare_probability) else 0.0,
        draw.uniform(generator, 0, config.sharpen) if draw.chance(generator, config.rare_probability) else 0.0,
    )


def apply_augmentation(
    image: torch.Tensor, labels: torch.Tensor, record: AugmentationDraw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the augmented crop of image (I, J, K) in [0, 1] and labels (I, J, K), as (1, 1, S, S, S) and (1, S, S, S);
    both are 0 outside the volume."""
    shape = (record.crop_size,) * 3
    index = warp_index([record.deform], tuple(image.shape), shape)
    to_centre = [c - (n - 1) / 2 for c, n in zip(record.centre, image.shape)]
    index = index + torch.tensor(to_centre).view(1, 3, 1, 1, 1)
    crop = apply_artefacts(warp_image(image[None, None], index), [record.artefacts])
    bias_sd, bias_seed = record.bias
    bias = resize(draw.noise([bias_seed], (1, *draw.coarse_shape(shape, 32))), shape)
    crop = gaussian(crop, record.blur_sd)
    if record.sharpen:
        crop = crop + record.sharpen * (crop - gaussian(crop, 1.0))
    if record.ringing:
        crop = gibbs_ringing(crop[0], record.ringing)[None]
    crop = crop.clamp_min(0).pow(record.gamma) * record.gain * torch.exp(bias_sd * bias)
    noise_sd, noise_seed = record.noise
    crop = crop + noise_sd * draw.noise([noise_seed], (1, *shape))
    return crop.clamp(0, 1.2), warp_labels(labels[None], index)
