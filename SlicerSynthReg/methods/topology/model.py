"""The variational registration that tells where it fails (thesis paper 3): network, likelihood and scores.

A U-Net sees two images and gives mean and log-variance of the displacement that brings I to J; what is compared are
features f of both (a network's and intensities), f(I) moved: J ~ N(f(I) o Phi, Sigma), Sigma diagonal and learned. The
negative bound on log p(J | I) falls apart into voxels, and where a voxel's part is high no likely warp explains it.

All at half the images' resolution. Images of two dimensions are (B, 1, I, J), of three (B, 1, I, J, K).

Departures. Channels of f count as their mean, not their sum, as in the published implementation: they are many and
alike. Intensities stand beside the network's features as a part of their own, which counts as much: our extractor was
taught to be blind to contrast, the paper's knew one contrast only. A voxel's part of the bound is read over a
neighbourhood. alpha and beta come from a running mean of their closed form, for here a step sees one pair and not 32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.methods.topology.prior import divergence, moments
from SlicerSynthReg.nets.extractor import Extractor
from SlicerSynthReg.nets.unet import UNet, UNetConfig, pad_to_multiple
from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import resize, sample_displaced
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.weights.registry import Card, load_weights, read_card

LOG_2PI = 1.8378770664093453
_BLOCK = 16
"""Images are padded to multiples of this before their features are taken: no encoder halves more often."""
Describe = Callable[[torch.Tensor], torch.Tensor]
"""Images (B, 1, ...) -> what is compared of them (B, C, .../2)."""


@dataclass(frozen=True)
class TopologyConfig:
    """dims: 2 or 3. channels: of each part of what is compared. features: name of the model whose encoder describes the
    images beside their intensities, "" for intensities alone. log_variance: where the Sigma of each part starts.
    widths: of the U-Net. memory: of the running means. sd_vox: of the Gaussian over which scores are read."""

    dims: int = 3
    channels: tuple[int, ...] = (96, 1)
    features: str = "synthmorph-brains"
    log_variance: tuple[float, ...] = (-1.0, -5.0)
    widths: tuple[int, ...] = (8, 24, 48, 96)
    memory: float = 0.05
    sd_vox: float = 1.0

    @classmethod
    def comparing(cls, channels: int, dims: int = 3, features: str = "") -> TopologyConfig:
        """Of descriptions with so many channels in all, the last of which are the intensities."""
        if not features:
            return cls(dims, (channels,), "", (-5.0,))
        return cls(dims, (channels - 1, 1), features)

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> TopologyConfig:
        given: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
        return cls(**given)

    def to_card(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def unet(self) -> UNetConfig:
        return UNetConfig(2, 2 * self.dims, self.widths, finest=1, dims=self.dims)


@dataclass(frozen=True, eq=False)
class Explained:
    """What one direction says of J given I. u: (B, D, ...) in voxels of this grid, the mean displacement; score:
    (B, ...), each voxel's part of the negative bound on log p(J | I); unlike: the likelihood's share of it."""

    u: torch.Tensor
    score: torch.Tensor
    unlike: torch.Tensor


class Topology(nn.Module):
    """q(Phi | I, J), the learned prior and Sigma."""

    def __init__(self, config: TopologyConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(config.unet)
        nn.init.normal_(self.net.head.weight, std=1e-5)
        nn.init.zeros_(self.net.head.bias)
        with torch.no_grad():
            self.net.head.bias[config.dims :] = -3.0
        starts = [torch.full((n,), start) for n, start in zip(config.channels, config.log_variance)]
        self.log_variance = nn.Parameter(torch.cat(starts))
        self.register_buffer("log_alpha", torch.zeros(()))
        self.register_buffer("log_beta", torch.zeros(()))
        self.register_buffer("pairs", torch.zeros(()))

    @classmethod
    def load(cls, card: Card) -> Topology:
        """The model of a card, ready for inference."""
        model = cls(TopologyConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval()

    def proposed(self, i: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """mu, log v (B, D, ...) of images I, J (B, 1, ...): where each voxel of J reads in I."""
        out = self.net(torch.cat([i, j], 1))
        return out[:, : self.config.dims], out[:, self.config.dims :].clamp(-12.0, 4.0)

    def loss(self, i: torch.Tensor, j: torch.Tensor, f_i: torch.Tensor, f_j: torch.Tensor) -> dict[str, torch.Tensor]:
        """Negative bound a voxel, of one sample of Phi; moves the running means of alpha and beta."""
        mu, log_v = self.proposed(i, j)
        found = moments(mu.detach(), log_v.detach())
        with torch.no_grad():
            self.pairs += 1
            share = max(self.config.memory, 1 / float(self.pairs))
            self.log_alpha.lerp_(found.alpha.log(), share)
            self.log_beta.lerp_(found.beta.log(), share)
        phi = mu + (0.5 * log_v).exp() * torch.randn_like(mu)
        unlike = self.unlikelihood(f_i, f_j, phi).mean()
        kl = divergence(mu, log_v, self.log_alpha.exp(), self.log_beta.exp()).mean()
        return {"loss": unlike + kl, "unlike": unlike, "divergence": kl}

    def unlikelihood(self, f_i: torch.Tensor, f_j: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
        """-log N(f(J) | f(I) o Phi, Sigma) at each voxel, each part the mean over its channels: (B, ...)."""
        log_variance = self.log_variance.view(1, -1, *([1] * self.config.dims))
        squared = (f_j - moved(f_i, phi)).square() * torch.exp(-log_variance)
        each = 0.5 * (squared + log_variance + LOG_2PI)
        return torch.stack([part.mean(1) for part in each.split(self.config.channels, 1)]).sum(0)

    @torch.no_grad()
    def explain(self, i: torch.Tensor, j: torch.Tensor, f_i: torch.Tensor, f_j: torch.Tensor) -> Explained:
        """L(J | I) of eq. 6, Phi = mu."""
        mu, log_v = self.proposed(i, j)
        unlike = self.unlikelihood(f_i, f_j, mu)
        return Explained(mu, unlike + divergence(mu, log_v, self.log_alpha.exp(), self.log_beta.exp()), unlike)

    def explain_both(self, i: torch.Tensor, j: torch.Tensor, describe: Describe) -> Explained:
        """L_sym(J | I) = L(J | I) + L(I | J) o Phi, Phi that of the first: on J's voxels, read over `sd_vox`."""
        f_i, f_j = describe(i), describe(j)
        there, back = self.explain(i, j, f_i, f_j), self.explain(j, i, f_j, f_i)
        parts = ((there.score, back.score), (there.unlike, back.unlike))
        score, unlike = (a + moved(b[:, None], there.u)[:, 0] for a, b in parts)
        return Explained(there.u, smoothed(score, self.config.sd_vox), smoothed(unlike, self.config.sd_vox))


def moved(values: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """values(x + u(x)): (B, C, ...) and (B, D, ...), of two or three dimensions, edges repeated."""
    if values.dim() == 5:
        return sample_displaced(values, u, index_lattice(tuple(u.shape[2:]), u.device))
    flat = F.pad(u, (0, 0) * 2 + (0, 1))[..., None]  # a third component, zero, and a third axis of one voxel
    return sample_displaced(values[..., None], flat, index_lattice(tuple(flat.shape[2:]), u.device))[..., 0]


def smoothed(score: torch.Tensor, sd_vox: float) -> torch.Tensor:
    """Scores (B, ...) over a Gaussian neighbourhood."""
    volumes = score[:, None] if score.dim() == 4 else score[:, None, ..., None]
    return gaussian(volumes, sd_vox)[:, 0].view_as(score)


def halved(image: torch.Tensor) -> torch.Tensor:
    """Intensities as what is compared: means of blocks of two voxels, (B, 1, ...) -> (B, 1, .../2)."""
    return F.avg_pool3d(image, 2) if image.dim() == 5 else F.avg_pool2d(image, 2)


@dataclass(frozen=True, eq=False)
class Semantic:
    """The first `count` encoder levels of an extractor at unit length, times the root of their channels, and the
    intensities, at half the resolution."""

    extractor: Extractor = field(repr=False)
    count: int = 2

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        padded = pad_to_multiple(image, _BLOCK)
        levels = self.extractor.levels(padded if image.dim() == 5 else padded[..., None])[: self.count]
        whole = tuple(n // 2 for n in padded.shape[2:])
        units = [F.normalize(level, dim=1) * level.shape[1] ** 0.5 for level in levels]
        described = torch.cat([resize(unit, whole if image.dim() == 5 else (*whole, 1)) for unit in units], 1)
        half = described if image.dim() == 5 else described[..., 0]
        return torch.cat([half[(..., *(slice(n // 2) for n in image.shape[2:]))], halved(image)], 1)


def description(features: str, device: str = "cpu") -> Describe:
    """What is compared: the features of model `features` and intensities, "": these alone. WeightsError where there is
    no such model."""
    return Semantic(Extractor.load(read_card(features)).to(device)) if features else halved
