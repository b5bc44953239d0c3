"""Affine registration by Gauss-Newton on weighted squared channel differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.space.differential import gradient
from SlicerSynthReg.space.sampling import PointReader


@dataclass(frozen=True)
class AffineConfig:
    """rigid_iterations then affine_iterations on at most `points` voxels of the fixed image."""

    rigid_iterations: int = 10
    affine_iterations: int = 15
    points: int = 4_000
    tolerance_mm: float = 0.05


@dataclass(frozen=True)
class AffineFit:
    """matrix: 4x4 fixed RAS -> moving RAS. residual: weighted mean squared channel difference (lower is better)."""

    matrix: np.ndarray
    residual: float


def fit_affine(fixed: Channels, moving: Channels, start: np.ndarray, config: AffineConfig) -> AffineFit:
    """Refine `start` (4x4 fixed RAS -> moving RAS). Residuals r = m(T x) - f(x), T <- T exp(step) about the fixed
    centroid, step from (J'WJ + damping) step = -J'Wr; steps that do not lower the residual are halved."""
    index, values, weight = _points(fixed, config.points)
    world = fixed.grid.index_to_world(index.numpy().T)
    center = fixed.centroid_mm()
    scale = float(np.sqrt(((world - center) ** 2).sum(1).mean()))
    places = _Places(world, (world - center) / scale, scale, values, weight)
    slope = gradient(moving.values[None])[0].flatten(0, 1)
    read = PointReader(torch.cat([moving.values, moving.weight[None], slope]))
    matrix, damping = start.copy(), 1e-3
    residual, normal, right = _system(moving, read, places, matrix)
    for iteration in range(config.rigid_iterations + config.affine_iterations):
        free = 6 if iteration < config.rigid_iterations else 12
        if iteration == config.rigid_iterations:
            damping = 1e-3
        h = normal[:free, :free] + damping * np.diag(np.diag(normal)[:free] + 1e-9)
        step = np.zeros(12)
        step[:free] = -np.linalg.solve(h, right[:free])
        proposed = matrix @ _about(center, scale, np.einsum("p,pij->ij", step, GENERATORS))
        trial = _system(moving, read, places, proposed)
        if trial[0] < residual:
            moved = float(np.abs(step).max()) * scale
            matrix, damping = proposed, max(damping / 3, 1e-5)
            residual, normal, right = trial
            if moved < config.tolerance_mm and free == 12:
                break
        else:
            damping = min(damping * 8, 1e3)
    return AffineFit(matrix, residual)


def _points(fixed: Channels, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Evenly chosen voxels that count: indices (3, N), values (C, N), weights (N,)."""
    flat = (fixed.weight.flatten() > 0.2).nonzero()[:, 0]
    if len(flat) < 50:
        flat = torch.arange(fixed.weight.numel())
    flat = flat[torch.linspace(0, len(flat) - 1, min(count, len(flat))).long()]
    index = torch.from_numpy(np.stack(np.unravel_index(flat.numpy(), fixed.weight.shape))).float()
    return index, fixed.values.flatten(1)[:, flat], fixed.weight.flatten()[flat]


def _generators() -> np.ndarray:
    """(12, 4, 4): three translations, three rotations, three stretches, three shears."""
    bases = np.zeros((12, 4, 4))
    for axis in range(3):
        bases[axis, axis, 3] = 1
        a, b = [other for other in range(3) if other != axis]
        bases[3 + axis, a, b], bases[3 + axis, b, a] = -1, 1
        bases[6 + axis, axis, axis] = 1
        bases[9 + axis, a, b] = bases[9 + axis, b, a] = 1
    return bases


GENERATORS = _generators()


def _about(center: np.ndarray, scale: float, tangent: np.ndarray) -> np.ndarray:
    """exp(tangent) in coordinates centred at `center` and measured in `scale` mm."""
    frame = np.diag([scale, scale, scale, 1.0])
    frame[:3, 3] = center
    return np.asarray(frame @ torch.matrix_exp(torch.from_numpy(tangent)).numpy() @ np.linalg.inv(frame))


class _Places:
    """The fixed voxels compared: where they are, what they show, and how each of the 12 parameters moves them."""

    def __init__(
        self, world: np.ndarray, arms: np.ndarray, scale: float, values: torch.Tensor, weight: torch.Tensor
    ) -> None:
        self.world, self.scale, self.values, self.weight = world, scale, values, weight
        homogeneous = np.concatenate([arms, np.ones((len(arms), 1))], 1)
        motion = np.einsum("pij,nj->pin", GENERATORS[:, :3], homogeneous)
        self.motion = torch.from_numpy(motion).float()
        """(12, 3, N), in units of `scale`."""


def _system(
    moving: Channels, read: PointReader, places: _Places, matrix: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Residual, J'WJ (12x12), J'Wr (12) at `matrix`; places that lose weight on the moving side count as misses."""
    channels = len(places.values)
    there = moving.grid.world_to_index(places.world @ matrix[:3, :3].T + matrix[:3, 3])
    seen = read(torch.from_numpy(there.T).float())
    m, reach, slope = seen[:channels], seen[channels], seen[channels + 1 :].reshape(channels, 3, -1)
    w = places.weight * reach
    missed = float((places.weight * (places.weight - reach).clamp_min(0).square()).sum())
    r = m - places.values
    to_index = np.linalg.solve(moving.grid.affine[:3, :3], matrix[:3, :3]) * places.scale
    g = torch.einsum("can,ab->bcn", slope, torch.from_numpy(to_index).float())
    gw = g * w
    metric = torch.einsum("acn,bcn->abn", gw, g)
    normal = torch.einsum("abn,pbn->pan", metric, places.motion).flatten(1) @ places.motion.flatten(1).T
    right = places.motion.flatten(1) @ (gw * r).sum(1).flatten()
    spread = float((places.values.square().sum(0) * places.weight).sum() / places.weight.sum())
    total = float((w * r.square().sum(0)).sum()) + 2 * spread * missed
    return total / float(places.weight.sum()), normal.double().numpy(), right.double().numpy()
