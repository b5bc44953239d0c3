"""What topological change was told by before: the warp's stretching, and intensities where there are no edges."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.differential import gradient, jacobian_determinant
from SlicerSynthReg.space.smoothing import gaussian


def log_jacobian_squared(u: torch.Tensor) -> torch.Tensor:
    """(log |det J|)^2 of x + u(x): (B, 3, I, J, K) -> (B, I, J, K), or (B, 2, I, J) -> (B, I, J); 0 where nothing
    stretches."""
    return _determinant(u).abs().clamp_min(1e-3).log().square()


def _determinant(u: torch.Tensor) -> torch.Tensor:
    if u.dim() == 5:
        return jacobian_determinant(u)
    return jacobian_determinant(F.pad(u, (0, 0) * 2 + (0, 1))[..., None])[..., 0]


def li_wyatt(moved: torch.Tensor, fixed: torch.Tensor, sd_vox: float = 6.0, k: float = 2.0) -> torch.Tensor:
    """Squared difference where the fixed image has no strong edge near (Li and Wyatt 2010, as paper 3 compares it).

    n(1 - k |grad G * J|) n((I o Phi - J)^2), n scaling each image to 0..1. moved, fixed: (B, 1, ...) in [0, 1];
    sd_vox: of the Gaussian derivative. Returns (B, ...).
    """
    volumes = [image if image.dim() == 5 else image[..., None] for image in (moved, fixed)]
    slope = gradient(gaussian(volumes[1], sd_vox))[:, 0].square().sum(1).sqrt()
    score = _unit(1 - k * slope) * _unit((volumes[0] - volumes[1])[:, 0].square())
    return score if fixed.dim() == 5 else score[..., 0]


def _unit(values: torch.Tensor) -> torch.Tensor:
    low, high = (bound.view(-1, 1, 1, 1) for bound in (values.flatten(1).amin(1), values.flatten(1).amax(1)))
    return (values - low) / (high - low).clamp_min(1e-9)
