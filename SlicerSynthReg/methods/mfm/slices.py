"""A network of slices applied to a volume: neighbours beside each slice, slices in batches, bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def with_neighbours(volume: torch.Tensor, at: torch.Tensor, neighbours: int) -> torch.Tensor:
    """(K, H, W), slice numbers (N,) -> (N, 2 neighbours + 1, H, W): each slice amid those before and after it.

    The first and the last slice stand for those beyond them.
    """
    offsets = torch.arange(-neighbours, neighbours + 1, device=at.device)
    return volume[(at[:, None] + offsets).clamp(0, len(volume) - 1)]


class SliceNetwork:
    """Calls a time-conditional network on all slices of a volume; counts the calls that one slice costs.

    neighbours: slices seen on either side. batch: slices at once. tick: called after each batch, may raise to stop.
    On a graphics card the network computes in bfloat16 where `half` is set.
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
    def __call__(self, volume: torch.Tensor, t: float, beside: torch.Tensor | None = None) -> torch.Tensor:
        """(K, H, W) at time t -> (K, H, W), where `volume` lies. beside: (K, H, W), one more channel, as it is."""
        device = next(self.net.parameters()).device
        out = torch.empty_like(volume)
        for part in torch.arange(len(volume), device=volume.device).split(self.batch):
            x = with_neighbours(volume, part, self.neighbours)
            if beside is not None:
                x = torch.cat([x, beside[part, None]], 1)
            x = x.to(device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
                found = self.net(x, torch.full((len(x),), t, device=device))
            out[part] = found[:, 0].to(out)
            self.tick()
        self.evaluations += 1
        return out
