"""The paper's DDPM (equation 2): the noise in an image of the wanted kind is guessed beside the image that is there.

Sampling is deterministic (DDIM) and starts from one noise for all slices of a patient. The paper prints its step with
t and t - 1 exchanged in the bracket; ours is the one that leads back to x_0 when the noise is known, which the tests
check. It also serves fewer steps than the T that were trained.
"""

from __future__ import annotations

import torch
from torch import nn

from SlicerSynthReg.methods.mfm.slices import SliceNetwork

T = 1000
BETA_START, BETA_END = 1e-4, 0.02


def alpha_bar(device: torch.device | str = "cpu") -> torch.Tensor:
    """(T + 1,): product of 1 - beta over the first t steps, beta linear in t; 1 at t = 0."""
    beta = torch.linspace(BETA_START, BETA_END, T, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)]).float().to(device)


def noised(x_0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, with t (B,) whole numbers of 0 to T."""
    kept = alpha_bar(x_0.device)[t].view(-1, 1, 1, 1)
    return kept.sqrt() * x_0 + (1 - kept).sqrt() * noise


def diffusion_loss(
    net: nn.Module, source: torch.Tensor, target: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """|| noise - net(source, noised target; t) ||^2, mean.

    source, target: (B, 2 neighbours + 1, H, W), of which the target's middle slice is noised; noise (B, 1, H, W).
    """
    middle = source.shape[1] // 2
    x_t = noised(target[:, middle : middle + 1], t, noise)
    return (net(torch.cat([source, x_t], 1), t / T) - noise).square().mean()


def denoised(net: SliceNetwork, source: torch.Tensor, noise: torch.Tensor, steps: int = T) -> torch.Tensor:
    """Scaled slices (K, H, W) -> those of the kind the network was trained for; noise (H, W), the same for each slice.

    From s to r < s: x_r = sqrt(a_r / a_s) x_s + [sqrt(1 - a_r) - sqrt(a_r (1 - a_s) / a_s)] eps, a = alpha_bar.
    """
    a = alpha_bar()
    times = torch.linspace(T, 0, steps + 1).round().long().tolist()
    x = noise.expand(source.shape).clone()
    for s, r in zip(times, times[1:]):
        eps = net(source, s / T, beside=x)
        onward = (1 - a[r]).sqrt() - (a[r] * (1 - a[s]) / a[s]).sqrt()
        x = (a[r] / a[s]).sqrt() * x + onward * eps
    return x.clamp(-1, 1)
