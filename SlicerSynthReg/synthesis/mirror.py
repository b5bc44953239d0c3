"""The mirror map of a head: from each voxel to its contralateral counterpart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.spatial.transform import apply_matrix


@dataclass(frozen=True, eq=False)
class Mirror:
    """z -> matrix (z + u(z)), voxel indices of one volume.

    matrix: 4x4, includes the flip. u: (3, i, j, k) in voxels of the volume, on voxels `factor` times larger, the first
    of which starts at voxel `begin`; edge values are repeated beyond them.
    """

    matrix: np.ndarray
    u: torch.Tensor
    factor: int
    begin: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def flip(cls, shape: tuple[int, ...]) -> Mirror:
        """Return the reversal of the first axis of a volume of `shape`."""
        matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
        matrix[0, 3] = shape[0] - 1
        return cls(matrix, torch.zeros(3, 2, 2, 2), max(shape))

    def map_index(self, index: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """Return the counterparts (3, ...) of voxel indices (3, ...). share: factor of the displacement."""
        u = self.u.to(index.device)
        begin = torch.tensor(self.begin, device=index.device).view(3, *([1] * (index.dim() - 1)))
        at = (index - begin - (self.factor - 1) / 2) / self.factor
        return apply_matrix(self.matrix, index + share * sample(u[None], at[None], padding="border")[0])

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` (C, I, J, K) of the volume at each voxel's counterpart, 0 outside of the volume."""
        lattice = index_lattice(tuple(values.shape[1:]), values.device)
        return sample(values[None], self.map_index(lattice)[None])[0]
