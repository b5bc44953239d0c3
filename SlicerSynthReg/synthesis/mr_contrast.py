"""MR image of arbitrary contrast from a label map (Hoffmann et al. 2022, SynthMorph, section II-D.2 and Table I).

Gaussian intensities for each label -> zero background with probability 0.2 -> anisotropic blur -> times exp(bias field)
-> clip to 0..255 -> scale to [0, 1] -> power exp(N(0, sigma_gamma)).

Departures: a fraction of the draws follows intensity tables of MR sequences and CT (synthesis/tissues.py); the bias
field's nodes lie `bias_resolution` voxels apart, not millimetres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw


@dataclass(frozen=True)
class MRContrastConfig:
    """Bounds of Table I; lengths in voxels. table_probability: fraction of draws that follow a sequence's intensity
    table, where there is one, with `jitter` (SD) on each mean (departure from the paper)."""

    mean: tuple[float, float] = (25.0, 225.0)
    sd: tuple[float, float] = (5.0, 25.0)
    background_zero: float = 0.2
    blur_sd: float = 1.0
    bias_resolution: int = 40
    bias_sd: float = 0.3
    gamma_sd: float = 0.25
    table_probability: float = 0.0
    jitter: float = 15.0


@dataclass(frozen=True)
class MRContrastDraw:
    """One contrast: intensity mean and SD by label index, and the chain's parameters."""

    means: tuple[float, ...]
    sds: tuple[float, ...]
    noise_seed: int
    zero_background: bool
    blur_sds: tuple[float, float, float]
    bias_resolution: int
    bias_sd: float
    bias_seed: int
    gamma: float


@dataclass(frozen=True)
class IntensityTables:
    """How intensities are assigned to label indices; index 0 is the background.

    groups: for each label index the number of its tissue; labels of one tissue share their intensities (0..L-1: each
    label its own, as in the paper; left and right of one structure together, as in scans). tables: for each known
    sequence the mean by label index, NaN where it is drawn at random.
    """

    groups: tuple[int, ...]
    tables: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def independent(cls, labels: int) -> IntensityTables:
        """Return a tissue for each of `labels` label indices, without tables."""
        return cls(tuple(range(labels)))


def draw_mr_contrast(config: MRContrastConfig, tables: IntensityTables, generator: torch.Generator) -> MRContrastDraw:
    """Draw one contrast."""
    groups = tables.groups
    means = [draw.uniform(generator, *config.mean) for _ in range(max(groups) + 1)]
    sds = [draw.uniform(generator, *config.sd) for _ in means]
    if tables.tables and draw.chance(generator, config.table_probability):
        table = tables.tables[draw.integer(generator, 0, len(tables.tables) - 1)]
        sds = [0.5 * sd for sd in sds]
        for label, group in enumerate(groups):
            if math.isfinite(table[label]):
                means[group] = min(255.0, max(0.0, table[label] + draw.normal(generator, config.jitter)))
    return MRContrastDraw(
        means=tuple(means[group] for group in groups),
        sds=tuple(sds[group] for group in groups),
        noise_seed=draw.seed(generator),
        zero_background=draw.chance(generator, config.background_zero),
        blur_sds=tuple(draw.uniform(generator, 0.0, config.blur_sd) for _ in range(3)),  # type: ignore[arg-type]
        bias_resolution=config.bias_resolution,
        bias_sd=draw.uniform(generator, 0.0, config.bias_sd),
        bias_seed=draw.seed(generator),
        gamma=math.exp(draw.normal(generator, config.gamma_sd)),
    )


def render(labels: torch.Tensor, draws: list[MRContrastDraw]) -> torch.Tensor:
    """Render label indices (B, I, J, K) uint8 as images (B, 1, I, J, K) in [0, 1], each with its own draw."""
    return simulate_acquisition(sample_intensities(labels, draws), draws)


def sample_intensities(labels: torch.Tensor, draws: list[MRContrastDraw]) -> torch.Tensor:
    """Return Gaussian intensities (B, 1, I, J, K), about 0..255, of label indices (B, I, J, K) uint8."""
    device, shape = labels.device, tuple(labels.shape[1:])
    means = torch.tensor([d.means for d in draws], device=device)
    sds = torch.tensor([d.sds for d in draws], device=device)
    for row, d in enumerate(draws):
        if d.zero_background:
            means[row, 0] = sds[row, 0] = 0.0
    index = labels.flatten(1).long()
    image = draw.noise([d.noise_seed for d in draws], shape, device)
    image.mul_(sds.gather(1, index).view(image.shape)).add_(means.gather(1, index).view(image.shape))
    return image[:, None]


def simulate_acquisition(image: torch.Tensor, draws: list[MRContrastDraw]) -> torch.Tensor:
    """Apply blur, bias field, clipping, scaling to [0, 1] and gamma to images (B, 1, I, J, K) of 0..255."""
    device, shape = image.device, tuple(image.shape[2:])
    image = gaussian(image, torch.tensor([d.blur_sds for d in draws], device=device))
    coarse = draw.coarse_shape(shape, draws[0].bias_resolution)
    bias = draw.noise([d.bias_seed for d in draws], (1, *coarse), device)
    bias = bias * torch.tensor([d.bias_sd for d in draws], device=device).view(-1, 1, 1, 1, 1)
    image = (image * resize(bias, shape).exp_()).clamp_(0.0, 255.0)
    image = rescale_to_unit_range(image)
    return image.pow_(torch.tensor([d.gamma for d in draws], device=device).view(-1, 1, 1, 1, 1))


def rescale_to_unit_range(image: torch.Tensor) -> torch.Tensor:
    """Scale each element of (B, C, I, J, K) to minimum 0 and maximum 1; a constant becomes 0."""
    low = image.amin(dim=(1, 2, 3, 4), keepdim=True)
    high = image.amax(dim=(1, 2, 3, 4), keepdim=True)
    return (image - low) / (high - low).clamp_min(1e-6)
