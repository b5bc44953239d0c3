"""Four ways to segment and to say how sure one is, under one interface (thesis paper 4, section 3).

Each learns from images and the masks of one or several annotators, and draws samples of p(y | x). The U-Net's is a
single one; the ensemble's are its members, each taught by annotators of its own; dropout stays on for the third; the
fourth, the probabilistic U-Net, draws a latent that varies the whole mask.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.nets.unet import ConvBlock, UNet, UNetConfig, pad_to_multiple

KINDS = ("unet", "ensemble", "dropout", "probabilistic")


@dataclass(frozen=True)
class UncertainConfig:
    """kind: one of KINDS. net: the backbone; its outputs are the classes. members: of the ensemble. dropout: chance
    that a feature is off. latent: dimensions of the latent; beta: weight of its divergence."""

    kind: str = "unet"
    net: UNetConfig = field(default_factory=lambda: UNetConfig(1, 2, (16, 32, 64, 64)))
    members: int = 4
    dropout: float = 0.5
    latent: int = 6
    beta: float = 5e-4

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Found kind {self.kind!r}, expected one of {', '.join(KINDS)}.")


class Segmenter(nn.Module):
    """What all have: `loss` to learn by, `samples` to be asked by."""

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """image (B, 1, I, J, K) and annotations (B, A, I, J, K) class indices by A annotators -> what is minimised."""
        raise NotImplementedError

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """(S, B, L, I, J, K) class probabilities, S <= count: those that are distinct, where a method knows fewer."""
        raise NotImplementedError


def build_segmenter(config: UncertainConfig) -> Segmenter:
    """The network of `config.kind`."""
    if config.kind == "ensemble":
        return Ensemble(config)
    if config.kind == "dropout":
        return DropoutUNet(config)
    return ProbabilisticUNet(config) if config.kind == "probabilistic" else SoftmaxUNet(config)


class SoftmaxUNet(Segmenter):
    """p(y | x, w) at the likeliest weights: one sample, whatever is asked."""

    def __init__(self, config: UncertainConfig) -> None:
        super().__init__()
        self.net = UNet(config.net)

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return F.cross_entropy(self.net(image), one_annotator(annotations, generator))

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.softmax(self.net(image), 1)[None]


class Ensemble(Segmenter):
    """M networks; where there are several annotators, member m learns from every M-th of them, beginning with m."""

    def __init__(self, config: UncertainConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(UNet(config.net) for _ in range(config.members))

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        total = image.new_zeros(())
        for m, net in enumerate(self.members):
            own = annotations[:, m % annotations.shape[1] :: len(self.members)]
            total = total + F.cross_entropy(net(image), one_annotator(own, generator))
        return total / len(self.members)

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """The members in random order, each once: more samples would repeat them."""
        order = torch.randperm(len(self.members), generator=generator)[:count]
        return torch.stack([torch.softmax(self.members[int(m)](image), 1) for m in order])


class DropoutUNet(Segmenter):
    """Features of every coarser level are off by chance, in training and when asked; those left are scaled up."""

    def __init__(self, config: UncertainConfig) -> None:
        super().__init__()
        self.net, self.dropout = UNet(config.net), config.dropout

    def loss(self, image: torch.Tensor, annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return F.cross_entropy(self._logits(image, generator), one_annotator(annotations, generator))

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.stack([torch.softmax(self._logits(image, generator), 1) for _ in range(count)])

    def _logits(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The U-Net's forward pass with the masks drawn from `generator`, one feature map as a whole at a time."""
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
    """(B, C, I, J, K) -> mean and log-variance (B, Z) each."""

    def __init__(self, inputs: int, widths: tuple[int, ...], latent: int) -> None:
        super().__init__()
        pairs = zip((inputs, *widths), widths)
        self.blocks = nn.Sequential(*(ConvBlock(a, b, 1 if n == 0 else 2) for n, (a, b) in enumerate(pairs)))
        self.head = nn.Linear(widths[-1], 2 * latent)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.head(self.blocks(image).mean((2, 3, 4))).chunk(2, 1)
        return mean, log_variance.clamp(-10, 4)


class ProbabilisticUNet(Segmenter):
    """A latent z ~ N(prior(x)) joins the U-Net's last features; in training z ~ N(posterior(x, y))."""

    def __init__(self, config: UncertainConfig) -> None:
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
        y = one_annotator(annotations, generator)
        one_hot = F.one_hot(y, self.config.net.outputs).movedim(-1, 1).to(image)
        prior, posterior = self.prior(image), self.posterior(torch.cat([image, one_hot], 1))
        logits = self._logits(self._features(image), drawn(posterior, generator))
        divergence = gaussian_divergence(*posterior, *prior).mean()
        # the paper's likelihood sums over pixels, its loss averages: beta is for the average
        return F.cross_entropy(logits, y) + self.config.beta * divergence

    def samples(self, image: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        features, prior = self._features(image), self.prior(image)
        logits = [self._logits(features, drawn(prior, generator)) for _ in range(count)]
        return torch.softmax(torch.stack(logits), 2)

    def _features(self, image: torch.Tensor) -> torch.Tensor:
        i, j, k = image.shape[2:]
        return self.net.head(self.net.pyramid(pad_to_multiple(image, self.net.multiple))[0])[:, :, :i, :j, :k]

    def _logits(self, features: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        everywhere = z[:, :, None, None, None].expand(-1, -1, *features.shape[2:])
        return self.combine(torch.cat([features, everywhere], 1))


def drawn(gaussian: tuple[torch.Tensor, torch.Tensor], generator: torch.Generator) -> torch.Tensor:
    """One z ~ N(mean, exp(log_variance)) for each row, through which gradients pass."""
    mean, log_variance = gaussian
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    return mean + noise * torch.exp(0.5 * log_variance)


def gaussian_divergence(
    mean: torch.Tensor, log_variance: torch.Tensor, other_mean: torch.Tensor, other_log_variance: torch.Tensor
) -> torch.Tensor:
    """(B,) KL(N(mean, variance) || N(other)) of diagonal Gaussians (B, Z)."""
    ratio = torch.exp(log_variance - other_log_variance)
    shift = (mean - other_mean) ** 2 / torch.exp(other_log_variance)
    return 0.5 * (ratio + shift - 1 - log_variance + other_log_variance).sum(1)


def one_annotator(annotations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, A, I, J, K) -> (B, I, J, K): for each element one of its annotators."""
    picked = torch.randint(annotations.shape[1], (annotations.shape[0],), generator=generator)
    return annotations[torch.arange(len(picked)), picked].long()
