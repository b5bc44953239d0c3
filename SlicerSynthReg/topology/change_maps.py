"""Maps of topological change: the control group's outlier map, and two baselines of thesis paper 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.differential import gradient, jacobian_determinant
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.topology.variational import VariationalBound, warp_features

BoundFunction = Callable[[torch.Tensor, torch.Tensor], VariationalBound]
"""(I, J) -> the symmetric bound on log p(J | I); images (B, 1, ...)."""


@dataclass(frozen=True, eq=False)
class ControlGroup:
    """Healthy controls, and how well they explain each other. images: each (1, 1, ...). expected: of each image
    I, E_K L_sym(I | K) over all others, (1, ...) on its own voxels."""

    images: tuple[torch.Tensor, ...]
    expected: tuple[torch.Tensor, ...]

    @classmethod
    def from_images(cls, images: Sequence[torch.Tensor], bound: BoundFunction) -> ControlGroup:
        """Return the group of `images` (two or more), with the bound of each given every other."""
        if len(images) < 2:
            raise ValueError(f"Found {len(images)} control images, expected two or more.")
        expected = []
        for n, image in enumerate(images):
            scores = [bound(other, image).score for m, other in enumerate(images) if m != n]
            expected.append(torch.stack(scores).mean(0))
        return cls(tuple(images), tuple(expected))

    def outlier_map(self, j: torch.Tensor, bound: BoundFunction) -> torch.Tensor:
        """Return Q(J) of eq. 7 on the voxels of the scores of J (1, 1, ...).

        Q(J) = E_{I in C} [L_sym(J | I) - E_{K in C} L_sym(I | K) o Phi], C the group, Phi of L_sym(J | I): what is hard
        to explain in all subjects, such as the cortex, is subtracted at its location in J.
        """
        excess = []
        for image, expected in zip(self.images, self.expected):
            result = bound(image, j)
            excess.append(result.score - warp_features(expected[:, None], result.u)[:, 0])
        return torch.stack(excess).mean(0)


def log_jacobian_squared(u: torch.Tensor) -> torch.Tensor:
    """Return (log |det J|)^2 of x + u(x): (B, 3, I, J, K) -> (B, I, J, K), or (B, 2, I, J) -> (B, I, J)."""
    return _determinant(u).abs().clamp_min(1e-3).log().square()


def li_wyatt(warped: torch.Tensor, fixed: torch.Tensor, sd_vox: float = 6.0, k: float = 2.0) -> torch.Tensor:
    """Return the squared difference where the fixed image has no strong edge (Li and Wyatt 2010, as in paper 3).

    n(1 - k |grad G * J|) n((I o Phi - J)^2), n scales each image to 0..1. warped, fixed: (B, 1, ...) in [0, 1]. sd_vox:
    of the Gaussian derivative. Returns (B, ...).
    """
    volumes = [image if image.dim() == 5 else image[..., None] for image in (warped, fixed)]
    slope = gradient(gaussian(volumes[1], sd_vox))[:, 0].square().sum(1).sqrt()
    score = _unit_range(1 - k * slope) * _unit_range((volumes[0] - volumes[1])[:, 0].square())
    return score if fixed.dim() == 5 else score[..., 0]


def _determinant(u: torch.Tensor) -> torch.Tensor:
    if u.dim() == 5:
        return jacobian_determinant(u)
    return jacobian_determinant(F.pad(u, (0, 0) * 2 + (0, 1))[..., None])[..., 0]


def _unit_range(values: torch.Tensor) -> torch.Tensor:
    low, high = (bound.view(-1, 1, 1, 1) for bound in (values.flatten(1).amin(1), values.flatten(1).amax(1)))
    return (values - low) / (high - low).clamp_min(1e-9)
