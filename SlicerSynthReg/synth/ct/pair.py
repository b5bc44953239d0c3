"""What phantoms, folders of scans and pseudo-contrast all come to: one patient's native and contrast CT."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from SlicerSynthReg.space.grid import Grid


@dataclass(frozen=True, eq=False)
class CTPair:
    """Native and contrast CT of one (virtual) patient on one grid, registered but for what phantoms misregister.

    native, contrast: (I, J, K) float32 HU, neither clipped nor scaled; axes 0 and 1 lie in the slices, axis 2 runs
    from caudal to cranial. labels: (I, J, K) int16, numbers of `organs.ORGANS`, on the native's anatomy; None when not
    known. u_vox: (3, I, J, K) voxels, None for an exact pair: the contrast at x shows the native's anatomy at x + u(x).
    """

    native: torch.Tensor
    contrast: torch.Tensor
    labels: torch.Tensor | None
    grid: Grid
    name: str = ""
    u_vox: torch.Tensor | None = None
