"""A 2-D network applied to the slices of a volume, adjacent slices as channels, in batches; normalisation of HU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

LIMIT_HU = 1000.0


def normalise_hu(hu: torch.Tensor) -> torch.Tensor:
    """Return HU of any shape clipped to [-1000, 1000] and scaled to [-1, 1] (MFM, appendix B.3)."""
    return hu.clamp(-LIMIT_HU, LIMIT_HU) / LIMIT_HU


def apply_change(hu: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Return `hu` plus the change from `start` = normalise_hu(hu) to `end`, in HU; what was clipped is kept."""
    return hu + LIMIT_HU * (end - start)


def with_neighbours(volume: torch.Tensor, slices: torch.Tensor, neighbours: int) -> torch.Tensor:
    """Return the slices of `volume` (K, H, W) at the indices `slices` (N,), each with those before and after it as
    channels: (N, 2 neighbours + 1, H, W). The first and last slice are replicated."""
    offsets = torch.arange(-neighbours, neighbours + 1, device=slices.device)
    return volume[(slices[:, None] + offsets).clamp(0, len(volume) - 1)]


class SliceNetwork:
    """Applies a time-conditional network to all slices of a volume and counts the evaluations per slice.

    neighbours: adjacent slices on either side. batch: slices per forward pass. tick: called after each batch; may raise
    to stop. half: compute in bfloat16. evaluations: number of network evaluations (NFE) per slice so far.
    """

    def __init__(
        self,
        net: nn.Module,
        neighbours: int,
        batch: int = 8,
        tick: Callable[[], None] = lambda: None,
        half: bool = False,
    ) -> None:
        self.net, self.neighbours, self.batch, self.tick, self.half = net, neighbours, batch, tick, half
        self.evaluations = 0

    @torch.no_grad()
    def __call__(self, volume: torch.Tensor, t: float, condition: torch.Tensor | None = None) -> torch.Tensor:
        """Return the network's output for `volume` (K, H, W) at time t: (K, H, W), on the device of `volume`.

        condition: (K, H, W), a further channel without adjacent slices.
        """
        device = next(self.net.parameters()).device
        out = torch.empty_like(volume)
        for part in torch.arange(len(volume), device=volume.device).split(self.batch):
            x = with_neighbours(volume, part, self.neighbours)
            if condition is not None:
                x = torch.cat([x, condition[part, None]], 1)
            x = x.to(device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
                predicted = self.net(x, torch.full((len(x),), t, device=device))
            out[part] = predicted[:, 0].to(out)
            self.tick()
        self.evaluations += 1
        return out
