"""Where a scan has no signal at all, as after a resection or where a region was cut out: nothing there tells the
network what to draw, so that what it draws is smooth. The other side, where it was scanned, then tells more.

In a void the T1 becomes a blend of the reconstruction and of the other side brought to the T1's contrast, and the
harmonic function that takes the blend into the reconstruction at the void's rim is added (gradient-domain blending).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_erosion, binary_propagation, label

from SlicerSynthReg.methods.una.difference import expressed
from SlicerSynthReg.space.harmonic import harmonic
from SlicerSynthReg.space.smoothing import gaussian

LEAST_ML = 1.0
NO_SIGNAL, AIR, DIM = 1e-6, 0.03, 0.08
"""Of a scale on which the brightest half percent is 1; fluid in a T1 lies above."""
REACH_VOX, RIM_VOX = 10, 2
OTHER_SIDE = 0.6
"""Its share of the blend. Voids cut into real T1 of three people, mean PSNR there: 17.1 dB with 0, 17.6 with 0.6 and
with 0.8; mirrored copy 17.1, linear in-painting 17.1."""


def void_of(
    image: torch.Tensor, brain: torch.Tensor, voxel_ml: float, anomaly: torch.Tensor | None = None
) -> torch.Tensor:
    """(I, J, K) bool: pieces of the brain (bool) of at least 1 ml where the image is 0; what is next to them and almost
    as dark, for a region that was cut out and interpolated rings into itself; and the two voxels about both, which miss
    a part of their signal. anomaly: probability; pieces in which it is below a half on average are air that was taken
    for brain."""
    core, count = label(binary_erosion(((image <= NO_SIGNAL) & brain).numpy()))
    if not count:
        return torch.zeros_like(brain)
    sizes = np.bincount(core.flat)
    wanted = sizes * voxel_ml >= LEAST_ML
    if anomaly is not None:
        wanted &= np.bincount(core.flat, anomaly.double().numpy().ravel()) >= 0.5 * sizes
    large = np.isin(core, np.flatnonzero(wanted[1:]) + 1)
    dim = binary_dilation(large, iterations=REACH_VOX, mask=((image < DIM) & brain).numpy()) | large
    return torch.from_numpy(binary_dilation(dim, iterations=RIM_VOX)) & brain


def air_about(image: torch.Tensor) -> torch.Tensor:
    """(I, J, K) bool: what is dark, noise evened out, and reaches the faces of the image through the dark."""
    dark = (torch.minimum(image, gaussian(image[None, None], 1.0)[0, 0]) < AIR).numpy()
    faces = np.ones(dark.shape, dtype=bool)
    faces[1:-1, 1:-1, 1:-1] = False
    return torch.from_numpy(binary_propagation(faces & dark, mask=dark))


def filled_void(
    t1: torch.Tensor,
    image: torch.Tensor,
    mirrored: torch.Tensor,
    brain: torch.Tensor,
    void: torch.Tensor,
    void_mirrored: torch.Tensor,
) -> torch.Tensor:
    """`t1` (I, J, K) with the void filled. mirrored: the other side of `image`. brain, void: bool. void_mirrored: where
    the other side has no signal either (bool), and the reconstruction stays alone."""
    if not bool(void.any()):
        return t1
    known = brain & ~void
    both = torch.stack([image, mirrored])
    other = expressed(both, torch.stack([t1, t1]), torch.stack([known, torch.zeros_like(known)]))[1]
    share = OTHER_SIDE * gaussian((~void_mirrored).to(t1)[None, None], 1.0)[0, 0] * ~void_mirrored
    blend = t1 + share * (other - t1)
    return torch.where(void, blend + harmonic(t1 - blend, void | ~brain), t1)
