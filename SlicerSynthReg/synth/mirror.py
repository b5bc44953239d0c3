"""Where each place of a head has its counterpart on the other side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.space.transform import apply_matrix


@dataclass(frozen=True, eq=False)
class Mirror:
    """z -> matrix (z + u(z)), voxel indices of one volume. matrix: 4x4, contains the flip. u: (3, i, j, k) in voxels of
    the volume, on voxels `factor` times larger, the first of which begins at voxel `begin`; beyond them as at the edge.
    """

    matrix: np.ndarray
    u: torch.Tensor
    factor: int
    begin: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def plain(cls, shape: tuple[int, ...]) -> Mirror:
        """The first axis reversed about the volume's middle."""
        matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
        matrix[0, 3] = shape[0] - 1
        return cls(matrix, torch.zeros(3, 2, 2, 2), max(shape))

    def of(self, index: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """Counterparts (3, ...) of the voxel indices (3, ...); share: of the displacement that is applied."""
        u = self.u.to(index.device)
        begin = torch.tensor(self.begin, device=index.device).view(3, *([1] * (index.dim() - 1)))
        at = (index - begin - (self.factor - 1) / 2) / self.factor
        return apply_matrix(self.matrix, index + share * sample(u[None], at[None], padding="border")[0])

    def image(self, values: torch.Tensor) -> torch.Tensor:
        """`values` (C, I, J, K) of the volume seen at each voxel's counterpart, zero where that lies outside."""
        lattice = index_lattice(tuple(values.shape[1:]), values.device)
        return sample(values[None], self.of(lattice)[None])[0]
