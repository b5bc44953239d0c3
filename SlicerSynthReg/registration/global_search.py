"""Global affine initialisation: exhaustive search of rotations and translations by FFT correlation of coarse features.

`rotation_search`: for each candidate rotation the moving features are rotated about their centroid and correlated with
the fixed ones over all translations (lags up to 70 % of the field of view). No overlap of the fields of view is
assumed. `translation_search`: for each translation t the Dice of soft classes over the voxels x that both fields of
view contain, 2 sum f(x) m(x + t) / sum (f^2(x) + m^2(x + t)), by FFT correlation with the fields of view as masks (as
Padfield 2012 for normalised correlation). Correlation of whole images would prefer large overlap to the right one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.spatial.transform import Rotation

from SlicerSynthReg.registration.feature_image import FeatureImage, pca_project
from SlicerSynthReg.spatial.grid import affine_lattice
from SlicerSynthReg.spatial.sampling import sample


@dataclass(frozen=True)
class RotationSearchConfig:
    """max_angle: of the rotations, degrees. step: between neighbouring rotations, degrees. channels: principal
    components that are correlated. candidates: number of results."""

    max_angle: float = 50.0
    step: float = 16.0
    channels: int = 6
    candidates: int = 3


def rotation_search(
    fixed: FeatureImage, moving: FeatureImage, config: RotationSearchConfig
) -> list[tuple[float, np.ndarray]]:
    """Return (score, 4x4 fixed RAS mm -> moving RAS mm), best first.

    Both images lie on coarse grids (about 10 mm) of equal isotropic spacing. score: correlation of the weighted
    channels, 1 for identical images.
    """
    f, m = pca_project((fixed, moving), config.channels, (fixed,))
    f, m = f * fixed.weight, m * moving.weight
    size = [next_fast_len(int(1.4 * max(a, b)) + 1, real=True) for a, b in zip(f.shape[1:], m.shape[1:])]
    f_hat = torch.fft.rfftn(f, s=size, dim=(1, 2, 3)).conj()
    energy = float(f.square().sum().sqrt())
    shape = moving.grid.shape
    center = moving.grid.world_to_index(moving.centroid_mm()[None])[0]
    candidates = []
    for rotation in rotation_lattice(config.max_angle, config.step):
        turn = np.eye(4)
        turn[:3, :3] = rotation
        turn[:3, 3] = center - rotation @ center
        rotated = sample(m[None], affine_lattice(turn, shape)[None])[0]
        correlation = torch.fft.irfftn((torch.fft.rfftn(rotated, s=size, dim=(1, 2, 3)) * f_hat).sum(0), s=size)
        best = int(correlation.argmax())
        score = float(correlation.flatten()[best]) / (energy * float(rotated.square().sum().sqrt()) + 1e-6)
        lag = np.array(np.unravel_index(best, size))
        lag = np.where(lag > np.array(size) / 2, lag - size, lag)
        candidates.append((score, _world_matrix(fixed, moving, turn, lag)))
    candidates.sort(key=lambda pair: -pair[0])
    return candidates[: config.candidates]


def rotation_lattice(max_angle: float, step: float) -> list[np.ndarray]:
    """Return rotation matrices on a lattice of rotation vectors, `step` degrees apart, at most `max_angle` long."""
    count = int(max_angle // step)
    line = np.arange(-count, count + 1) * step
    vectors = np.array(np.meshgrid(line, line, line)).reshape(3, -1).T
    vectors = vectors[np.linalg.norm(vectors, axis=1) <= max_angle]
    return list(Rotation.from_rotvec(np.deg2rad(vectors)).as_matrix())


def _world_matrix(fixed: FeatureImage, moving: FeatureImage, turn: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return the world matrix of: rotated(x + lag) matches fixed(x), x a voxel index."""
    shift = np.eye(4)
    shift[:3, 3] = lag
    return moving.grid.affine @ turn @ shift @ np.linalg.inv(fixed.grid.affine)


def translation_search(
    fixed: FeatureImage, moving: FeatureImage, count: int = 3, min_shared: float = 0.25
) -> list[np.ndarray]:
    """Return `count` 4x4 translations fixed RAS mm -> moving RAS mm, best first, at least three voxels apart.

    Both images lie on coarse RAS-aligned grids of equal isotropic spacing; values are fractions of classes, weights the
    fields of view. min_shared: fraction of the smaller image's content that both fields of view must contain.
    """
    f, m = fixed.values * fixed.weight, moving.values * moving.weight
    size = [next_fast_len(a + b, real=True) for a, b in zip(f.shape[1:], m.shape[1:])]

    def correlate(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        product = torch.fft.rfftn(a, s=size, dim=(1, 2, 3)).conj() * torch.fft.rfftn(b, s=size, dim=(1, 2, 3))
        return torch.fft.irfftn(product.sum(0), s=size)

    f_square, m_square = f.square().sum(0, keepdim=True), m.square().sum(0, keepdim=True)
    f_shared, m_shared = correlate(f_square, moving.weight[None]), correlate(fixed.weight[None], m_square)
    required = min_shared * float(torch.minimum(f_square.sum(), m_square.sum()))
    dice = 2 * correlate(f, m) / (f_shared + m_shared).clamp_min(1e-3)
    dice[torch.minimum(f_shared, m_shared) < required] = 0
    translations = []
    for _ in range(count):
        best = np.array(np.unravel_index(int(dice.argmax()), size))
        lag = np.where(best >= np.array(m.shape[1:]), best - size, best)
        shift = np.eye(4)
        shift[:3, 3] = moving.grid.index_to_world(lag[None])[0] - fixed.grid.index_to_world(np.zeros((1, 3)))[0]
        translations.append(shift)
        near = [(np.arange(b - 3, b + 4)) % n for b, n in zip(best, size)]
        dice[np.ix_(*near)] = 0
    return translations
