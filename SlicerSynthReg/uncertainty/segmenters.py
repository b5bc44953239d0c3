"""Four segmentation models with uncertainty under one interface (thesis paper 4, section 3).

Each learns from images with annotations of one or several annotators, and draws samples of p(y | x): the U-Net a single
one; the ensemble its members, each trained on its own annotators; the dropout U-Net with dropout at test time; the
probabilistic U-Net with a latent variable that varies the whole mask.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.unet import ConvBlock, UNet, UNetConfig, pad_to_multiple

KINDS = ("unet", "ensemble", "dropout", "probabilistic")


@dataclass(frozen=True)
class ProbabilisticConfig:
    """kind: one of KINDS. net: backbone, whose outputs are the classes. members: of the ensemble. dropout: probability.
    latent: dimensions of the latent variable; beta: weight of its KL divergence."""

    kind: str = "unet"
    net: UNetConfig = field(default_factory=lambda: UNetConfig(1, 2, (16, 32, 64, 64)))
    members: int = 4
    dropout: float = 0.5
    latent: int = 6
    beta: float = 5e-4

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Found kind {self.kind!r}, expected one of {', '.join(KINDS)}. Choose one of them.")


class ProbabilisticSegmenter(nn.Module):
    """Interface of all models."""

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the training loss for images (B, 1, I, J, K) and class indices (B, A, I, J, K) of A annotators."""
        raise NotImplementedError

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return S <= count samples of class probabilities (S, B, L, I, J, K); fewer if a model has fewer distinct
        ones."""
        raise NotImplementedError


def build_segmenter(config: ProbabilisticConfig) -> ProbabilisticSegmenter:
    """Return the model of `config.kind`."""
    if config.kind == "ensemble":
        return Ensemble(config)
    if config.kind == "dropout":
        return DropoutUNet(config)
    return ProbabilisticUNet(config) if config.kind == "probabilistic" else SoftmaxUNet(config)


class SoftmaxUNet(ProbabilisticSegmenter):
    """Softmax p(y | x, w) at the maximum-likelihood weights: a single sample."""

    def __init__(self, config: ProbabilisticConfig) -> None:
        super().__init__()
        self.net = UNet(config.net)

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return F.cross_entropy(self.net(image), sample_annotator(annotations, generator))

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.softmax(self.net(image), 1)[None]


class Ensemble(ProbabilisticSegmenter):
    """M networks; member m is trained on annotators m, m + M, ... if there are several."""

    def __init__(self, config: ProbabilisticConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(UNet(config.net) for _ in range(config.members))

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        total = image.new_zeros(())
        for m, net in enumerate(self.members):
            own = annotations[:, m % annotations.shape[1] :: len(self.members)]
            total = total + F.cross_entropy(net(image), sample_annotator(own, generator))
        return total / len(self.members)

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return the predictions of the members in random order, each once."""
        order = torch.randperm(len(self.members), generator=generator)[:count]
        return torch.stack([torch.softmax(self.members[int(m)](image), 1) for m in order])


class DropoutUNet(ProbabilisticSegmenter):
    """U-Net with dropout of whole feature maps at every coarser level, in training and prediction."""

    def __init__(self, config: ProbabilisticConfig) -> None:
        super().__init__()
        self.net, self.dropout = UNet(config.net), config.dropout

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return F.cross_entropy(self._logits(image, generator), sample_annotator(annotations, generator))

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.stack([torch.softmax(self._logits(image, generator), 1) for _ in range(count)])

    def _logits(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the U-Net's logits with dropout masks drawn from `generator`."""
        handles = [
            block.register_forward_hook(lambda _, __, out: self._dropped(out, generator)) for block in self.net.down
        ]
        try:
            return self.net(image)
        finally:
            for handle in handles:
                handle.remove()

    def _dropped(self, features: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        kept = torch.rand(features.shape[:2], generator=generator) >= self.dropout
        return features * (kept.to(features) / (1 - self.dropout))[:, :, None, None, None]


class GaussianEncoder(nn.Module):
    """Maps images (B, C, I, J, K) to mean and log-variance (B, Z) of a diagonal Gaussian."""

    def __init__(self, inputs: int, widths: tuple[int, ...], latent: int) -> None:
        super().__init__()
        pairs = zip((inputs, *widths), widths)
        self.blocks = nn.Sequential(*(ConvBlock(a, b, 1 if n == 0 else 2) for n, (a, b) in enumerate(pairs)))
        self.head = nn.Linear(widths[-1], 2 * latent)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.head(self.blocks(image).mean((2, 3, 4))).chunk(2, 1)
        return mean, log_variance.clamp(-10, 4)


class ProbabilisticUNet(ProbabilisticSegmenter):
    """U-Net whose last features are combined with a latent z ~ N(prior(x)); z ~ N(posterior(x, y)) in training."""

    def __init__(self, config: ProbabilisticConfig) -> None:
        super().__init__()
        classes, width = config.net.outputs, config.net.widths[0]
        self.config = config
        self.net = UNet(dataclasses.replace(config.net, outputs=width))
        self.prior = GaussianEncoder(config.net.inputs, config.net.widths, config.latent)
        self.posterior = GaussianEncoder(config.net.inputs + classes, config.net.widths, config.latent)
        self.combine = nn.Sequential(
            nn.Conv3d(width + config.latent, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(width, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(width, classes, 1),
        )

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        y = sample_annotator(annotations, generator)
        one_hot = F.one_hot(y, self.config.net.outputs).movedim(-1, 1).to(image)
        prior, posterior = self.prior(image), self.posterior(torch.cat([image, one_hot], 1))
        logits = self._logits(self._features(image), sample_gaussian(posterior, generator))
        divergence = gaussian_kl(*posterior, *prior).mean()
        # the paper's likelihood sums over pixels, its loss averages: beta applies to the average
        return F.cross_entropy(logits, y) + self.config.beta * divergence

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        features, prior = self._features(image), self.prior(image)
        logits = [self._logits(features, sample_gaussian(prior, generator)) for _ in range(count)]
        return torch.softmax(torch.stack(logits), 2)

    def _features(self, image: torch.Tensor) -> torch.Tensor:
        i, j, k = image.shape[2:]
        return self.net.head(self.net.pyramid(pad_to_multiple(image, self.net.multiple))[0])[:, :, :i, :j, :k]

    def _logits(self, features: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        everywhere = z[:, :, None, None, None].expand(-1, -1, *features.shape[2:])
        return self.combine(torch.cat([features, everywhere], 1))


def sample_gaussian(gaussian: tuple[torch.Tensor, torch.Tensor], generator: torch.Generator) -> torch.Tensor:
    """Return a reparametrised sample z ~ N(mean, exp(log_variance)) per row (B, Z)."""
    mean, log_variance = gaussian
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    return mean + noise * torch.exp(0.5 * log_variance)


def gaussian_kl(
    mean: torch.Tensor, log_variance: torch.Tensor, other_mean: torch.Tensor, other_log_variance: torch.Tensor
) -> torch.Tensor:
    """Return KL(N(mean, variance) || N(other)) (B,) of diagonal Gaussians (B, Z)."""
    ratio = torch.exp(log_variance - other_log_variance)
    shift = (mean - other_mean) ** 2 / torch.exp(other_log_variance)
    return 0.5 * (ratio + shift - 1 - log_variance + other_log_variance).sum(1)


def sample_annotator(annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the annotation (B, I, J, K) of a random annotator per element of (B, A, I, J, K)."""
    picked = torch.randint(annotations.shape[1], (annotations.shape[0],), generator=generator)
    return annotations[torch.arange(len(picked)), picked].long()
