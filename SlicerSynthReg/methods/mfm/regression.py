"""The paper's simplest comparison: the network gives the other image at once, trained on the mean absolute error."""

from __future__ import annotations

import torch
from torch import nn

from SlicerSynthReg.methods.mfm.flow import TIMES
from SlicerSynthReg.methods.mfm.slices import SliceNetwork


def regression_loss(g: nn.Module, source: torch.Tensor, target: torch.Tensor, to: str) -> torch.Tensor:
    """|| g(source) - target ||_1, mean: (B, 2 neighbours + 1, H, W) each, the middle slice of `target` counts.

    The networks are time-conditional; here their time says which image is wanted. They give a change of the middle
    slice, as everywhere in this room, so that all begin at the identity.
    """
    middle = source.shape[1] // 2
    t = source.new_full((len(source),), TIMES[to])
    change = (target - source)[:, middle : middle + 1]
    return (g(source, t) - change).abs().mean()


def regress(g: SliceNetwork, x: torch.Tensor, to: str) -> torch.Tensor:
    """Scaled slices (K, H, W) of the other kind -> those of kind `to`."""
    return x + g(x, TIMES[to])
