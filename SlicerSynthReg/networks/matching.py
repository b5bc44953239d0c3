"""Registration by feature matching: a stationary velocity from local correlation volumes, coarse to fine.

Departure from SynthMorph (Hoffmann et al. 2022), whose U-Net takes both images as channels: here one U-Net computes
features of each image alone. At each decoder level the features of the fixed image are correlated with those of the
warped moving image in a 3x3x3 neighbourhood; a small convolutional head maps the 27 correlations, their expected
displacement and the regularisation weight to a velocity update. As in SynthMorph, the velocity has half resolution and
is integrated by scaling and squaring.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.unet import ConvBlock, UNetConfig
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize_displacement, sample_displaced
from SlicerSynthReg.spatial.smoothing import box_mean
from SlicerSynthReg.spatial.transform import exponential


@dataclass(frozen=True)
class MatchingConfig:
    """levels: decoder levels that are matched, coarse to fine, as powers of two of the input's voxel; the last is the
    velocity's resolution. width: channels of each head. sharpness: initial inverse temperature of the soft-argmax.
    weight_range: regularisation weights of the training."""

    levels: tuple[int, ...] = (4, 3, 2, 1)
    width: int = 24
    sharpness: float = 10.0
    squarings: int = 5
    weight_range: tuple[float, float] = (0.1, 10.0)


def neighbourhood_offsets() -> torch.Tensor:
    """Return the (27, 3) offsets of the 3x3x3 neighbourhood, in voxels, axis order."""
    return torch.cartesian_prod(*(torch.arange(-1.0, 2.0),) * 3)


def correlation_volume(fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
    """Return fixed(x) . moving(x + o) for the 27 offsets o of `neighbourhood_offsets`: (B, 27, I, J, K) of two
    (B, C, I, J, K)."""
    return _Correlation.apply(fixed, F.pad(moving, (1,) * 6, mode="replicate"))


class _Correlation(torch.autograd.Function):
    """Correlation volume with a backward pass that handles one offset at a time, without 27 copies of the features."""

    @staticmethod
    def forward(ctx: Any, fixed: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(fixed, padded)
        out = fixed.new_empty((fixed.shape[0], 27, *fixed.shape[2:]))
        product = torch.empty_like(fixed)
        for n, shifted in enumerate(_shifted(padded)):
            torch.mul(fixed, shifted, out=product)
            torch.sum(product, 1, out=out[:, n])
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        fixed, padded = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        of_fixed = torch.zeros_like(fixed) if wanted[0] else None
        of_padded = torch.zeros_like(padded) if wanted[1] else None
        if of_fixed is not None:
            for n, shifted in enumerate(_shifted(padded)):
                of_fixed.addcmul_(shifted, grad[:, n : n + 1])
        if of_padded is not None:
            for n, shifted in enumerate(_shifted(of_padded)):
                shifted.addcmul_(fixed, grad[:, n : n + 1])
        return of_fixed, of_padded


def _shifted(padded: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield views of a field padded by one voxel, at the 27 offsets."""
    i, j, k = (n - 2 for n in padded.shape[2:])
    for a, b, c in itertools.product(range(3), repeat=3):
        yield padded[:, :, a : a + i, b : b + j, c : c + k]


class MatchingHead(nn.Module):
    """Map the correlations of one level to a velocity update (B, 3, I, J, K) in voxels of that level; initialised near
    soft-argmax."""

    def __init__(self, config: MatchingConfig) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(config.sharpness))
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.mix = ConvBlock(27 + 3 + 1, config.width, norm="none")
        self.refine = ConvBlock(config.width, config.width, norm="none")
        self.out = nn.Conv3d(config.width, 3, 3, padding=1)
        nn.init.normal_(self.out.weight, std=1e-4)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("offsets", neighbourhood_offsets().T, persistent=False)

    def forward(self, cost: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        probability = torch.softmax(self.sharpness * box_mean(cost, 1), dim=1)
        expected = torch.einsum("on,bnijk->boijk", self.offsets, probability)
        strength = weight.log10().view(-1, 1, 1, 1, 1).expand(-1, 1, *cost.shape[2:])
        hidden = self.refine(self.mix(torch.cat([cost, expected, strength], 1)))
        return box_mean(self.gain * expected + self.out(hidden), 1)


class MatchingNet(nn.Module):
    """Map the feature pyramids of fixed and moving image to a stationary velocity at the finest level."""

    def __init__(self, config: MatchingConfig, unet: UNetConfig) -> None:
        super().__init__()
        if max(config.levels) >= len(unet.widths) or min(config.levels) < unet.finest:
            raise ValueError(f"Found levels {config.levels}, expected levels {unet.finest}..{len(unet.widths) - 1}.")
        self.config = config
        self.heads = nn.ModuleList(MatchingHead(config) for _ in config.levels)

    def forward(
        self, fixed: dict[int, torch.Tensor], moving: dict[int, torch.Tensor], weight: torch.Tensor
    ) -> torch.Tensor:
        """Return the velocity (B, 3, I, J, K). fixed, moving: level -> unit-length features (B, C, I, J, K). weight:
        (B,) regularisation weights."""
        first = fixed[self.config.levels[0]]
        v = first.new_zeros((first.shape[0], 3, *first.shape[2:]))
        for level, head in zip(self.config.levels, self.heads):
            shape = tuple(fixed[level].shape[2:])
            v = resize_displacement(v, shape)
            u = exponential(v, self.config.squarings)
            warped = sample_displaced(moving[level], u, index_lattice(shape, u.device))
            v = v + head(correlation_volume(fixed[level], warped), weight)
        return v
