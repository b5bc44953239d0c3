"""DeepSim: how alike two images are in what they mean (thesis paper 1, eq. 12): pyramids of features compared by angle.

Images that are warped before their features are taken (transform before extraction, the paper's) are compared by
`deepsim` of both pyramids; features that are taken first and warped, level by level, by `moved_levels`. The same on a
pair's own optimisation: the squared difference of the channels of `nets.extractor.Extractor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import resize_displacement, sample_displaced

EPSILON = 1e-6


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """<a, b> / (|a| |b|) at each voxel: (B, C, I, J, K) twice -> (B, I, J, K); 0 where either is 0."""
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(EPSILON)


def deepsim(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
    """Eq. 12: mean over levels of the mean cosine, in -1..1; a, b: for each level (B, C, I, J, K)."""
    return torch.stack([cosine(one, other).mean() for one, other in zip(a, b)]).mean()


def deepsim_loss(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
    """1 - DeepSim: 0 for features of the same direction everywhere."""
    return 1 - deepsim(a, b)


def moved_levels(levels: list[torch.Tensor], u_vox: torch.Tensor) -> list[torch.Tensor]:
    """Each level's features at x + u(x), the displacement resized to the level's voxels: extraction before transform.

    u_vox: (B, 3, I, J, K), voxels of its own grid, which covers the levels' space.
    """
    moved = []
    for level in levels:
        shape = tuple(level.shape[2:])
        u = resize_displacement(u_vox, shape)
        moved.append(sample_displaced(level, u, index_lattice(shape, u.device)))
    return moved


@dataclass(frozen=True, eq=False)
class SemanticSimilarity:
    """DeepSim for a pair's own optimisation, transform before extraction: the image is moved, then described.

    `levels`: images (B, 1, I, J, K) -> encoder features, an extractor's; with gradient, so that each step of an
    optimisation costs a run of the encoder and its backward run.
    """

    levels: Callable[[torch.Tensor], list[torch.Tensor]]

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        """(I, J, K) in [0, 1] -> (1, I, J, K): the image itself is what moves."""
        return image[None]

    def loss(self, fixed: torch.Tensor, moved: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """1 - DeepSim of two images (1, I, J, K); a level's voxel counts as much as `weight` (I, J, K) does there."""
        with torch.no_grad():
            wanted = self.levels(fixed[None])
        likeness = []
        for one, other in zip(wanted, self.levels(moved[None])):
            counts = F.interpolate(weight[None, None], one.shape[2:], mode="area")[:, 0]
            likeness.append((cosine(one, other) * counts).sum() / counts.sum().clamp_min(EPSILON))
        return 1 - torch.stack(likeness).mean()
