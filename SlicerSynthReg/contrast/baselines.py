"""The methods that MFM is compared with: a denoising diffusion model (equation 2) and direct regression.

Diffusion: the network predicts the noise in an image of the target phase, given the source image. Sampling is
deterministic (DDIM) from one noise image for all slices of a patient. The paper prints the sampling step with t and
t - 1 exchanged in the bracket; the step here recovers x_0 when the noise is known, as tests check. It also serves fewer
steps than the T of training.
"""

from __future__ import annotations

import torch
from torch import nn

from SlicerSynthReg.contrast.config import TIMES
from SlicerSynthReg.contrast.slice_network import SliceNetwork

T = 1000
BETA_START, BETA_END = 1e-4, 0.02


def alpha_bar(device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the cumulative product of 1 - beta_t, beta linear in t: (T + 1,), 1 at t = 0."""
    beta = torch.linspace(BETA_START, BETA_END, T, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)]).float().to(device)


def add_noise(x_0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, images (B, C, H, W), t (B,) integers 0 to T."""
    a_t = alpha_bar(x_0.device)[t].view(-1, 1, 1, 1)
    return a_t.sqrt() * x_0 + (1 - a_t).sqrt() * noise


def diffusion_loss(
    net: nn.Module, source: torch.Tensor, target: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Return the mean of || noise - net(source, x_t; t) ||^2, x_t the middle slice of `target` with noise added.

    source, target: (B, 2 neighbours + 1, H, W), normalised; noise (B, 1, H, W); t (B,).
    """
    middle = source.shape[1] // 2
    x_t = add_noise(target[:, middle : middle + 1], t, noise)
    return (net(torch.cat([source, x_t], 1), t / T) - noise).square().mean()


def denoise(net: SliceNetwork, source: torch.Tensor, noise: torch.Tensor, steps: int = T) -> torch.Tensor:
    """Sample the target phase: normalised slices (K, H, W) of the source -> (K, H, W); noise (H, W) for all slices.

    From s to r < s: x_r = sqrt(a_r / a_s) x_s + [sqrt(1 - a_r) - sqrt(a_r (1 - a_s) / a_s)] eps, a = alpha_bar.
    """
    a = alpha_bar()
    times = torch.linspace(T, 0, steps + 1).round().long().tolist()
    x = noise.expand(source.shape).clone()
    for s, r in zip(times, times[1:]):
        eps = net(source, s / T, condition=x)
        weight = (1 - a[r]).sqrt() - (a[r] * (1 - a[s]) / a[s]).sqrt()
        x = (a[r] / a[s]).sqrt() * x + weight * eps
    return x.clamp(-1, 1)


def regression_loss(g: nn.Module, source: torch.Tensor, target: torch.Tensor, target_phase: str) -> torch.Tensor:
    """Return the mean of || g(source) - target ||_1: (B, 2 neighbours + 1, H, W) each, for the middle `target` slice.

    The network predicts the change of the middle slice, as all methods here, so that it starts at the identity; its
    time states the target phase.
    """
    middle = source.shape[1] // 2
    t = source.new_full((len(source),), TIMES[target_phase])
    change = (target - source)[:, middle : middle + 1]
    return (g(source, t) - change).abs().mean()


def regress(g: SliceNetwork, x: torch.Tensor, target_phase: str) -> torch.Tensor:
    """Predict normalised slices (K, H, W) of `target_phase` from those of the other phase."""
    return x + g(x, TIMES[target_phase])
