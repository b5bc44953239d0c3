"""Variational registration whose bound localises topological change (thesis paper 3): network, likelihood and scores.

A U-Net maps two images to mean and log-variance of the displacement Phi that brings I to J. Features f of both images
(of a network, and intensities) are compared: f(J) ~ N(f(I) o Phi, Sigma), Sigma diagonal and learned. The negative
evidence lower bound on log p(J | I) is a sum over voxels; where a voxel's part is high, no likely deformation explains
it.

All at half the images' resolution. Images are (B, 1, I, J) in 2-D and (B, 1, I, J, K) in 3-D.

Departures. Channels of f count as their mean, not their sum, as in the published implementation: they are many and
correlated. Intensities are a part of their own with the same weight as the network's features, because our extractor
was trained to be invariant to contrast, the paper's on one contrast. A voxel's part of the bound is smoothed. alpha and
beta are running means of their closed form, because a step here has one pair, not 32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.extractor import Extractor
from SlicerSynthReg.networks.unet import UNet, UNetConfig, pad_to_multiple
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize, sample_displaced
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.topology.prior import kl_divergence, moments
from SlicerSynthReg.weights.registry import Card, load_weights, read_card

LOG_2PI = 1.8378770664093453
_BLOCK = 16
"""Images are padded to multiples of this for the encoder, which halves the resolution at most four times."""
FeatureFunction = Callable[[torch.Tensor], torch.Tensor]
"""Images (B, 1, ...) -> features at half the resolution (B, C, .../2)."""


@dataclass(frozen=True)
class TopologyConfig:
    """dims: 2 or 3. channels: of each part of f. features: name of the model whose encoder features are compared beside
    the intensities, "" for intensities alone. log_variance: initial log Sigma of each part. widths: of the U-Net.
    momentum: of the running means. sd_vox: of the Gaussian that smooths the scores."""

    dims: int = 3
    channels: tuple[int, ...] = (96, 1)
    features: str = "synthmorph-brains"
    log_variance: tuple[float, ...] = (-1.0, -5.0)
    widths: tuple[int, ...] = (8, 24, 48, 96)
    momentum: float = 0.05
    sd_vox: float = 1.0

    @classmethod
    def for_channels(cls, channels: int, dims: int = 3, features: str = "") -> TopologyConfig:
        """Return the configuration for `channels` feature channels in all, the last of which is the intensity."""
        if not features:
            return cls(dims, (channels,), "", (-5.0,))
        return cls(dims, (channels - 1, 1), features)

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> TopologyConfig:
        """Return the configuration in a card's architecture entry (JSON lists become tuples)."""
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**given)

    def to_card(self) -> dict[str, Any]:
        """Return the architecture entry of a card."""
        return dataclasses.asdict(self)

    @property
    def unet(self) -> UNetConfig:
        """Configuration of the U-Net."""
        return UNetConfig(2, 2 * self.dims, self.widths, finest=1, dims=self.dims)


@dataclass(frozen=True, eq=False)
class VariationalBound:
    """Negative evidence lower bound on log p(J | I). u: (B, D, ...) mean displacement in voxels of this grid. score:
    (B, ...) each voxel's part of the bound. nll: (B, ...) its negative log-likelihood."""

    u: torch.Tensor
    score: torch.Tensor
    nll: torch.Tensor


class Topology(nn.Module):
    """The approximate posterior q(Phi | I, J), with the learned prior and Sigma."""

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
        """Return the model of a card in inference mode. Raises WeightsError."""
        model = cls(TopologyConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval()

    def posterior(self, i: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mu, log v (B, D, ...) of q(Phi | I, J) for images (B, 1, ...); Phi samples I at the voxels of J."""
        out = self.net(torch.cat([i, j], 1))
        return out[:, : self.config.dims], out[:, self.config.dims :].clamp(-12.0, 4.0)

    def loss(self, i: torch.Tensor, j: torch.Tensor, f_i: torch.Tensor, f_j: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mean negative bound for one sample of Phi, and its terms; update the means of alpha and beta."""
        mu, log_v = self.posterior(i, j)
        estimate = moments(mu.detach(), log_v.detach())
        with torch.no_grad():
            self.pairs += 1
            weight = max(self.config.momentum, 1 / float(self.pairs))
            self.log_alpha.lerp_(estimate.alpha.log(), weight)
            self.log_beta.lerp_(estimate.beta.log(), weight)
        phi = mu + (0.5 * log_v).exp() * torch.randn_like(mu)
        nll = self.negative_log_likelihood(f_i, f_j, phi).mean()
        kl = kl_divergence(mu, log_v, self.log_alpha.exp(), self.log_beta.exp()).mean()
        return {"loss": nll + kl, "nll": nll, "kl": kl}

    def negative_log_likelihood(self, f_i: torch.Tensor, f_j: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
        """Return -log N(f(J) | f(I) o Phi, Sigma) per voxel (B, ...): the sum over parts of the mean over channels."""
        log_variance = self.log_variance.view(1, -1, *([1] * self.config.dims))
        squared = (f_j - warp_features(f_i, phi)).square() * torch.exp(-log_variance)
        each = 0.5 * (squared + log_variance + LOG_2PI)
        return torch.stack([part.mean(1) for part in each.split(self.config.channels, 1)]).sum(0)

    @torch.no_grad()
    def bound(self, i: torch.Tensor, j: torch.Tensor, f_i: torch.Tensor, f_j: torch.Tensor) -> VariationalBound:
        """Return L(J | I) of eq. 6 at Phi = mu."""
        mu, log_v = self.posterior(i, j)
        nll = self.negative_log_likelihood(f_i, f_j, mu)
        return VariationalBound(mu, nll + kl_divergence(mu, log_v, self.log_alpha.exp(), self.log_beta.exp()), nll)

    def symmetric_bound(self, i: torch.Tensor, j: torch.Tensor, features: FeatureFunction) -> VariationalBound:
        """Return L_sym(J | I) = L(J | I) + L(I | J) o Phi on the voxels of J, Phi of the first term; smoothed."""
        f_i, f_j = features(i), features(j)
        forward, backward = self.bound(i, j, f_i, f_j), self.bound(j, i, f_j, f_i)
        terms = ((forward.score, backward.score), (forward.nll, backward.nll))
        score, nll = (
            smooth_scores(a + warp_features(b[:, None], forward.u)[:, 0], self.config.sd_vox) for a, b in terms
        )
        return VariationalBound(forward.u, score, nll)


def warp_features(values: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Return values(x + u(x)): (B, C, ...) and (B, D, ...), D = 2 or 3, edges repeated."""
    if values.dim() == 5:
        return sample_displaced(values, u, index_lattice(tuple(u.shape[2:]), u.device))
    flat = F.pad(u, (0, 0) * 2 + (0, 1))[..., None]  # third component zero, third axis of one voxel
    return sample_displaced(values[..., None], flat, index_lattice(tuple(flat.shape[2:]), u.device))[..., 0]


def smooth_scores(score: torch.Tensor, sd_vox: float) -> torch.Tensor:
    """Return scores (B, ...) smoothed by a Gaussian."""
    volumes = score[:, None] if score.dim() == 4 else score[:, None, ..., None]
    return gaussian(volumes, sd_vox)[:, 0].view_as(score)


def half_resolution(image: torch.Tensor) -> torch.Tensor:
    """Return means of blocks of two voxels along each axis: (B, 1, ...) -> (B, 1, .../2)."""
    return F.avg_pool3d(image, 2) if image.dim() == 5 else F.avg_pool2d(image, 2)


@dataclass(frozen=True, eq=False)
class SemanticFeatures:
    """The first `count` encoder levels of an extractor and the intensities, at half the resolution. Each level is
    normalised to unit length and scaled by the square root of its channels."""

    extractor: Extractor = field(repr=False)
    count: int = 2

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        padded = pad_to_multiple(image, _BLOCK)
        levels = self.extractor.levels(padded if image.dim() == 5 else padded[..., None])[: self.count]
        whole = tuple(n // 2 for n in padded.shape[2:])
        units = [F.normalize(level, dim=1) * level.shape[1] ** 0.5 for level in levels]
        stacked = torch.cat([resize(unit, whole if image.dim() == 5 else (*whole, 1)) for unit in units], 1)
        half = stacked if image.dim() == 5 else stacked[..., 0]
        return torch.cat([half[(..., *(slice(n // 2) for n in image.shape[2:]))], half_resolution(image)], 1)


def feature_function(features: str, device: str = "cpu") -> FeatureFunction:
    """Return the encoder features of the model `features` with the intensities; "": the intensities alone.

    Raises WeightsError.
    """
    return SemanticFeatures(Extractor.load(read_card(features)).to(device)) if features else half_resolution
