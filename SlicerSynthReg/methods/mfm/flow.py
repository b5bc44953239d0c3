"""Flow matching between native and contrast CT (MFM, equations 3 to 5): t = 0 is native, t = 1 is contrast.

The field is learned on the straight lines between the two images of a patient, and followed either way: one network
serves both directions. With `neighbours`, the state is the whole stack of slices, all at the same t, and the field at a
slice depends on the slices beside it: still one differential equation, so the way back is the way there reversed.
"""

from __future__ import annotations

import torch
from torch import nn

from SlicerSynthReg.methods.mfm.slices import SliceNetwork
from SlicerSynthReg.space.ode import integrate

TIMES = {"native": 0.0, "contrast": 1.0}


def point(x_0: torch.Tensor, x_1: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """x_t = (1 - t) x_0 + t x_1, with t (B,) and images (B, C, H, W)."""
    return torch.lerp(x_0, x_1, t.view(-1, 1, 1, 1))


def flow_loss(f: nn.Module, x_0: torch.Tensor, x_1: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """|| f(x_t, t) - v_t ||^2, mean (equation 5), v_t = x_1 - x_0 (equation 4).

    x_0 native, x_1 contrast: (B, 2 neighbours + 1, H, W); t (B,) uniform in [0, 1]. The velocity is that of the middle
    slice.
    """
    middle = x_0.shape[1] // 2
    v_t = (x_1 - x_0)[:, middle : middle + 1]
    return (f(point(x_0, x_1, t), t) - v_t).square().mean()


def follow(f: SliceNetwork, x: torch.Tensor, to: str, solver: str, steps: int) -> torch.Tensor:
    """Scaled slices (K, H, W) of the other kind -> those of kind `to` ("native" or "contrast"): equation 3 solved.

    solver: one of space.ode.METHODS.
    """
    end = TIMES[to]
    return integrate(lambda x_t, t: f(x_t, t), x, 1 - end, end, steps, solver)
