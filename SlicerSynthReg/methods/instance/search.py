"""Where to start: every rotation of a cone, every translation, by Fourier correlation of coarse channels.

For each candidate rotation the moving channels are turned about their centre and correlated with the fixed ones over
all translations at once (lags up to 70 % of the field of view); the best few go on to Gauss-Newton. Nothing is assumed
about how much the two fields of view overlap or where the heads lie in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.spatial.transform import Rotation

from SlicerSynthReg.methods.instance.channels import Channels, principal
from SlicerSynthReg.space.grid import affine_lattice
from SlicerSynthReg.space.sampling import sample


@dataclass(frozen=True)
class SearchConfig:
    """cone: largest rotation angle in degrees. step: between neighbouring rotations. candidates: how many are kept."""

    cone: float = 50.0
    step: float = 16.0
    channels: int = 6
    candidates: int = 3


def search(fixed: Channels, moving: Channels, config: SearchConfig) -> list[tuple[float, np.ndarray]]:
    """(score, 4x4 fixed RAS -> moving RAS), best first; both on coarse grids (about 10 mm) of equal isotropic spacing.

    score: correlation of the weighted channels, 1 for identical images.
    """
    f, m = principal((fixed, moving), config.channels, (fixed,))
    f, m = f * fixed.weight, m * moving.weight
    size = [next_fast_len(int(1.4 * max(a, b)) + 1, real=True) for a, b in zip(f.shape[1:], m.shape[1:])]
    f_hat = torch.fft.rfftn(f, s=size, dim=(1, 2, 3)).conj()
    energy = float(f.square().sum().sqrt())
    shape = moving.grid.shape
    center = moving.grid.world_to_index(moving.centroid_mm()[None])[0]
    found = []
    for rotation in rotations(config.cone, config.step):
        turn = np.eye(4)
        turn[:3, :3] = rotation
        turn[:3, 3] = center - rotation @ center
        turned = sample(m[None], affine_lattice(turn, shape)[None])[0]
        correlation = torch.fft.irfftn((torch.fft.rfftn(turned, s=size, dim=(1, 2, 3)) * f_hat).sum(0), s=size)
        best = int(correlation.argmax())
        score = float(correlation.flatten()[best]) / (energy * float(turned.square().sum().sqrt()) + 1e-6)
        lag = np.array(np.unravel_index(best, size))
        lag = np.where(lag > np.array(size) / 2, lag - size, lag)
        found.append((score, _world(fixed, moving, turn, lag)))
    found.sort(key=lambda pair: -pair[0])
    return found[: config.candidates]


def rotations(cone: float, step: float) -> list[np.ndarray]:
    """Rotation matrices on a lattice of rotation vectors, `step` degrees apart, none longer than `cone` degrees."""
    count = int(cone // step)
    line = np.arange(-count, count + 1) * step
    vectors = np.array(np.meshgrid(line, line, line)).reshape(3, -1).T
    vectors = vectors[np.linalg.norm(vectors, axis=1) <= cone]
    return list(Rotation.from_rotvec(np.deg2rad(vectors)).as_matrix())


def _world(fixed: Channels, moving: Channels, turn: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """turned(x + lag) matches fixed(x): index map of fixed -> index of moving, then to world."""
    shift = np.eye(4)
    shift[:3, 3] = lag
    return moving.grid.affine @ turn @ shift @ np.linalg.inv(fixed.grid.affine)
