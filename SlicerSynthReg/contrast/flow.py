"""Flow matching between native and arterial-phase CT (MFM, equations 3 to 5): t = 0 is native, t = 1 arterial.

The velocity field is learned on straight lines between the two images of a patient and integrated in either direction:
one network serves both. With `neighbours`, the state is the whole stack of slices at one t, and the field at a slice
depends on adjacent slices: one differential equation, whose solution can be reversed.
"""

from __future__ import annotations

import torch
from torch import nn

from SlicerSynthReg.contrast.config import TIMES, SolverConfig
from SlicerSynthReg.contrast.slice_network import SliceNetwork
from SlicerSynthReg.spatial.ode import integrate


def interpolate(x_0: torch.Tensor, x_1: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Return x_t = (1 - t) x_0 + t x_1: t (B,), images (B, C, H, W)."""
    return torch.lerp(x_0, x_1, t.view(-1, 1, 1, 1))


def flow_loss(f: nn.Module, x_0: torch.Tensor, x_1: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Return the mean of || f(x_t, t) - v_t ||^2 (equation 5) with v_t = x_1 - x_0 of the middle slice (equation 4).

    x_0 native, x_1 arterial: (B, 2 neighbours + 1, H, W), normalised; t (B,) uniform in [0, 1].
    """
    middle = x_0.shape[1] // 2
    v_t = (x_1 - x_0)[:, middle : middle + 1]
    return (f(interpolate(x_0, x_1, t), t) - v_t).square().mean()


def integrate_flow(f: SliceNetwork, x: torch.Tensor, target_phase: str, config: SolverConfig) -> torch.Tensor:
    """Solve equation 3: normalised slices x (K, H, W) of the other phase -> slices of `target_phase`."""
    end = TIMES[target_phase]
    return integrate(lambda x_t, t: f(x_t, t), x, 1 - end, end, config.steps, config.solver)
