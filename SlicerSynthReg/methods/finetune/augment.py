"""One annotated volume seen anew at every step: a warped crop, in the light of another scanner (anatomix, table 9).

The synthesis engine's own operations stand for the paper's MONAI transforms: fine-tuning runs in Slicer's Python, where
neither MONAI nor TorchIO is. Departures: smaller affines, as minutes leave no time to learn larger ones; smooth warps
and thick slices besides; blur up to 0.8 voxels, sharpening by one Gaussian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig, ArtefactDraw, apply_artefacts, draw_artefacts
from SlicerSynthReg.synth.deform import DeformConfig, DeformDraw, draw_deform, warp_image, warp_index, warp_labels
from SlicerSynthReg.synth.scanner import ringing


@dataclass(frozen=True)
class AugmentConfig:
    """side: voxels of the crop. on_label: chance that it lies about a voxel of a label, each label as likely.
    now_and_then: chance of ringing, and of sharpening. The rest bounds uniform draws or is an SD; lengths in voxels."""

    side: int = 64
    on_label: float = 0.7
    deform: DeformConfig = field(
        default_factory=lambda: DeformConfig((8, 16), 0.6, 5, rotation_degrees=12.0, scale=0.12, shear=0.05)
    )
    artefacts: ArtefactConfig = field(default_factory=lambda: ArtefactConfig(thick_slices=0.15, crop=0.0))
    gamma_sd: float = 0.25
    gain: float = 0.2
    bias_sd: float = 0.2
    blur_sd: float = 0.8
    noise_sd: float = 0.05
    now_and_then: float = 0.33
    ringing: float = 0.33
    sharpen: float = 3.0


@dataclass(frozen=True)
class AugmentDraw:
    """centre: voxel of the volume about which the crop lies. ringing: share of k-space cut off; sharpen: gain of what a
    Gaussian of SD 1 takes away; 0 for neither."""

    centre: tuple[int, int, int]
    side: int
    deform: DeformDraw
    artefacts: ArtefactDraw
    gamma: float
    gain: float
    bias: tuple[float, int]
    blur_sd: float
    noise: tuple[float, int]
    ringing: float
    sharpen: float


def draw_augment(config: AugmentConfig, labels: torch.Tensor, generator: torch.Generator) -> AugmentDraw:
    """labels (I, J, K) class indices of the volume, 0 the background."""
    places = labels.nonzero()
    if len(places) and draw.chance(generator, config.on_label):
        kinds = labels[labels != 0]
        present = kinds.unique()
        places = places[kinds == present[draw.integer(generator, 0, len(present) - 1)]]
        centre = places[draw.integer(generator, 0, len(places) - 1)].tolist()
    else:
        centre = [draw.integer(generator, 0, n - 1) for n in labels.shape]
    return AugmentDraw(
        (centre[0], centre[1], centre[2]),
        config.side,
        draw_deform(config.deform, generator),
        draw_artefacts(config.artefacts, generator),
        math.exp(draw.normal(generator, config.gamma_sd)),
        1 + draw.uniform(generator, -config.gain, config.gain),
        (draw.uniform(generator, 0, config.bias_sd), draw.seed(generator)),
        draw.uniform(generator, 0, config.blur_sd),
        (draw.uniform(generator, 0, config.noise_sd), draw.seed(generator)),
        draw.uniform(generator, 0, config.ringing) if draw.chance(generator, config.now_and_then) else 0.0,
        draw.uniform(generator, 0, config.sharpen) if draw.chance(generator, config.now_and_then) else 0.0,
    )


def augmented(image: torch.Tensor, labels: torch.Tensor, record: AugmentDraw) -> tuple[torch.Tensor, torch.Tensor]:
    """image (I, J, K) in [0, 1] and labels (I, J, K) -> (1, 1, side^3) and (1, side^3); both are 0 outside."""
    shape = (record.side,) * 3
    index = warp_index([record.deform], tuple(image.shape), shape)
    to_centre = [c - (n - 1) / 2 for c, n in zip(record.centre, image.shape)]
    index = index + torch.tensor(to_centre).view(1, 3, 1, 1, 1)
    seen = apply_artefacts(warp_image(image[None, None], index), [record.artefacts])
    bias_sd, bias_seed = record.bias
    bias = resize(draw.noise([bias_seed], (1, *draw.coarse_shape(shape, 32))), shape)
    seen = gaussian(seen, record.blur_sd)
    if record.sharpen:
        seen = seen + record.sharpen * (seen - gaussian(seen, 1.0))
    if record.ringing:
        seen = ringing(seen[0], record.ringing)[None]
    seen = seen.clamp_min(0).pow(record.gamma) * record.gain * torch.exp(bias_sd * bias)
    noise_sd, noise_seed = record.noise
    seen = seen + noise_sd * draw.noise([noise_seed], (1, *shape))
    return seen.clamp(0, 1.2), warp_labels(labels[None], index)
