"""Baseline of unsupervised anomaly detection: a variational auto-encoder of healthy brains (Baur 2021), in 3-D.

The reconstruction error is the anomaly map. It is trained on the same healthy synthetic heads, of all modalities, as
UNA.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64)
LATENT = 32
BETA = 1e-3


class VAE(nn.Module):
    """Map (B, 1, I, J, K), counts divisible by 8, to its reconstruction, mean and log-variance of a spatial latent."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in WIDTHS:
            layers += [nn.Conv3d(before, width, 3, 2, 1), nn.GroupNorm(width // 4, width), nn.LeakyReLU(0.2)]
            before = width
        self.encoder = nn.Sequential(*layers, nn.Conv3d(before, 2 * LATENT, 1))
        layers, before = [nn.Conv3d(LATENT, WIDTHS[-1], 1)], WIDTHS[-1]
        for width in (*WIDTHS[-2::-1], WIDTHS[0]):
            layers += [nn.ConvTranspose3d(before, width, 2, 2), nn.Conv3d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
            before = width
        self.decoder = nn.Sequential(*layers, nn.Conv3d(before, 1, 1))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encoder(image).chunk(2, 1)
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        return self.decoder(mean + noise * (0.5 * log_variance).exp()), mean, log_variance

    def reconstruct(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 1, I, J, K) of any counts: padded to multiples of 8 and cropped."""
        pad = [n for size in reversed(image.shape[2:]) for n in (0, -size % 8)]
        i, j, k = image.shape[2:]
        return self(F.pad(image, pad))[0][:, :, :i, :j, :k]


def train_vae(healthy_image: Callable[[int], torch.Tensor], minutes: float) -> VAE:
    """healthy_image(step): (1, 1, I, J, K) without anomaly. minutes: of the processor."""
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    began, step = time.process_time(), 0
    while time.process_time() - began < 60 * minutes:
        image = healthy_image(step)
        found, mean, log_variance = model(image)
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).mean()
        loss = (found - image).abs().mean() + BETA * divergence
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
    print(f"VAE: {step} steps, loss {float(loss.detach()):.4f}")
    return model.eval()


def load_vae(path: Path) -> VAE:
    model = VAE()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()
