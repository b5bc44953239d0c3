"""Where two fields of view that share only a part overlap: every translation, judged by the shared part alone.

Per shift t the Dice of soft classes over the voxels x that both see, 2 sum f(x) m(x + t) / sum (f^2(x) + m^2(x + t)),
by Fourier correlation with the fields of view as masks (as Padfield 2012 does for normalised correlation). A search
that correlates the whole images prefers much overlap to the right one.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import next_fast_len

from SlicerSynthReg.methods.instance.channels import Channels


def best_shifts(fixed: Channels, moving: Channels, count: int = 3, least: float = 0.25) -> list[np.ndarray]:
    """4x4 translations fixed RAS -> moving RAS, best first, none nearer than three voxels to a better one.

    Both on coarse RAS-aligned grids of equal isotropic spacing; values are shares of classes, weights the fields of
    view. least: share of what the poorer of both images holds that must lie in what both see.
    """
    f, m = fixed.values * fixed.weight, moving.values * moving.weight
    size = [next_fast_len(a + b, real=True) for a, b in zip(f.shape[1:], m.shape[1:])]

    def correlated(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        product = torch.fft.rfftn(a, s=size, dim=(1, 2, 3)).conj() * torch.fft.rfftn(b, s=size, dim=(1, 2, 3))
        return torch.fft.irfftn(product.sum(0), s=size)

    f_square, m_square = f.square().sum(0, keepdim=True), m.square().sum(0, keepdim=True)
    f_seen, m_seen = correlated(f_square, moving.weight[None]), correlated(fixed.weight[None], m_square)
    enough = least * float(torch.minimum(f_square.sum(), m_square.sum()))
    dice = 2 * correlated(f, m) / (f_seen + m_seen).clamp_min(1e-3)
    dice[torch.minimum(f_seen, m_seen) < enough] = 0
    found = []
    for _ in range(count):
        best = np.array(np.unravel_index(int(dice.argmax()), size))
        lag = np.where(best >= np.array(m.shape[1:]), best - size, best)
        shift = np.eye(4)
        shift[:3, 3] = moving.grid.index_to_world(lag[None])[0] - fixed.grid.index_to_world(np.zeros((1, 3)))[0]
        found.append(shift)
        near = [(np.arange(b - 3, b + 4)) % n for b, n in zip(best, size)]
        dice[np.ix_(*near)] = 0
    return found
