"""DeepSim: semantic similarity of two images, the mean cosine of feature pyramids (Czolbe et al. 2021, equation 12).

The paper warps the moving image and extracts its features ("transform before extraction"): compare both pyramids with
`deepsim`. With "extraction before transform" the features are extracted once and warped level by level by
`warp_features`; the registration optimises that form, as the squared difference of `Extractor` channels.
"""

from __future__ import annotations

import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize_displacement, sample_displaced

EPSILON = 1e-6


def cosine_similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return <a, b> / (|a| |b|) at each voxel, (B, I, J, K), of a, b (B, C, I, J, K); 0 where either is 0."""
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(EPSILON)


def deepsim(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean over levels of the mean cosine (equation 12), in -1..1; a, b: for each level (B, C, I, J, K)."""
    return torch.stack([cosine_similarity(item, other).mean() for item, other in zip(a, b)]).mean()


def deepsim_loss(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
    """Return 1 - DeepSim: 0 if the features have the same direction everywhere."""
    return 1 - deepsim(a, b)


def warp_features(levels: list[torch.Tensor], u_vox: torch.Tensor) -> list[torch.Tensor]:
    """Return each level's features at x + u(x), with the displacement resized to the level's voxels.

    u_vox: (B, 3, I, J, K), in voxels of its own grid, which covers the same field of view.
    """
    warped = []
    for level in levels:
        shape = tuple(level.shape[2:])
        u = resize_displacement(u_vox, shape)
        warped.append(sample_displaced(level, u, index_lattice(shape, u.device)))
    return warped
