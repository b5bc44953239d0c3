"""Affine registration by Gauss-Newton on weighted squared channel differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.spatial.differential import gradient
from SlicerSynthReg.spatial.sampling import PointInterpolator


@dataclass(frozen=True)
class AffineConfig:
    """rigid_iterations, then affine_iterations, on at most `points` voxels of the fixed image. tolerance_mm: smallest
    step of the affine iterations."""

    rigid_iterations: int = 10
    affine_iterations: int = 15
    points: int = 4_000
    tolerance_mm: float = 0.05


@dataclass(frozen=True)
class AffineFit:
    """matrix: 4x4 fixed RAS mm -> moving RAS mm. residual: weighted mean squared channel difference (lower is
    better)."""

    matrix: np.ndarray
    residual: float


def fit_affine(fixed: FeatureImage, moving: FeatureImage, start: np.ndarray, config: AffineConfig) -> AffineFit:
    """Refine `start` (4x4 fixed RAS mm -> moving RAS mm) by damped Gauss-Newton.

    Residuals r = m(T x) - f(x), T <- T exp(step) about the fixed centroid, step from (J'WJ + damping) step = -J'Wr; the
    damping grows after steps that do not lower the residual.
    """
    index, values, weight = _points(fixed, config.points)
    world = fixed.grid.index_to_world(index.numpy().T)
    center = fixed.centroid_mm()
    scale = float(np.sqrt(((world - center) ** 2).sum(1).mean()))
    points = _FixedPoints(world, (world - center) / scale, scale, values, weight)
    slope = gradient(moving.values[None])[0].flatten(0, 1)
    read = PointInterpolator(torch.cat([moving.values, moving.weight[None], slope]))
    matrix, damping = start.copy(), 1e-3
    residual, normal, right = _system(moving, read, points, matrix)
    for iteration in range(config.rigid_iterations + config.affine_iterations):
        free = 6 if iteration < config.rigid_iterations else 12
        if iteration == config.rigid_iterations:
            damping = 1e-3
        h = normal[:free, :free] + damping * np.diag(np.diag(normal)[:free] + 1e-9)
        step = np.zeros(12)
        step[:free] = -np.linalg.solve(h, right[:free])
        proposed = matrix @ _about(center, scale, np.einsum("p,pij->ij", step, GENERATORS))
        trial = _system(moving, read, points, proposed)
        if trial[0] < residual:
            step_mm = float(np.abs(step).max()) * scale
            matrix, damping = proposed, max(damping / 3, 1e-5)
            residual, normal, right = trial
            if step_mm < config.tolerance_mm and free == 12:
                break
        else:
            damping = min(damping * 8, 1e3)
    return AffineFit(matrix, residual)


def _points(fixed: FeatureImage, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return evenly spaced foreground voxels: indices (3, N), values (C, N), weights (N,)."""
    flat = (fixed.weight.flatten() > 0.2).nonzero()[:, 0]
    if len(flat) < 50:
        flat = torch.arange(fixed.weight.numel())
    flat = flat[torch.linspace(0, len(flat) - 1, min(count, len(flat))).long()]
    index = torch.from_numpy(np.stack(np.unravel_index(flat.numpy(), fixed.weight.shape))).float()
    return index, fixed.values.flatten(1)[:, flat], fixed.weight.flatten()[flat]


def _generators() -> np.ndarray:
    """Return (12, 4, 4): the generators of three translations, rotations, scalings and shears."""
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
    """Return exp(tangent) in coordinates centred at `center` with unit `scale` mm."""
    frame = np.diag([scale, scale, scale, 1.0])
    frame[:3, 3] = center
    return np.asarray(frame @ torch.matrix_exp(torch.from_numpy(tangent)).numpy() @ np.linalg.inv(frame))


class _FixedPoints:
    """The compared fixed voxels: positions, values, weights, and their motion by each of the 12 parameters."""

    def __init__(
        self, world: np.ndarray, offsets: np.ndarray, scale: float, values: torch.Tensor, weight: torch.Tensor
    ) -> None:
        self.world, self.scale, self.values, self.weight = world, scale, values, weight
        homogeneous = np.concatenate([offsets, np.ones((len(offsets), 1))], 1)
        motion = np.einsum("pij,nj->pin", GENERATORS[:, :3], homogeneous)
        self.motion = torch.from_numpy(motion).float()
        """(12, 3, N), in units of `scale`."""


def _system(
    moving: FeatureImage, read: PointInterpolator, points: _FixedPoints, matrix: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return residual, J'WJ (12x12) and J'Wr (12) at `matrix`. Points that leave the moving foreground add a
    penalty."""
    channels = len(points.values)
    moved = moving.grid.world_to_index(points.world @ matrix[:3, :3].T + matrix[:3, 3])
    samples = read(torch.from_numpy(moved.T).float())
    m, inside, slope = samples[:channels], samples[channels], samples[channels + 1 :].reshape(channels, 3, -1)
    w = points.weight * inside
    missed = float((points.weight * (points.weight - inside).clamp_min(0).square()).sum())
    r = m - points.values
    to_index = np.linalg.solve(moving.grid.affine[:3, :3], matrix[:3, :3]) * points.scale
    g = torch.einsum("can,ab->bcn", slope, torch.from_numpy(to_index).float())
    gw = g * w
    metric = torch.einsum("acn,bcn->abn", gw, g)
    normal = torch.einsum("abn,pbn->pan", metric, points.motion).flatten(1) @ points.motion.flatten(1).T
    right = points.motion.flatten(1) @ (gw * r).sum(1).flatten()
    spread = float((points.values.square().sum(0) * points.weight).sum() / points.weight.sum())
    total = float((w * r.square().sum(0)).sum()) + 2 * spread * missed
    return total / float(points.weight.sum()), normal.double().numpy(), right.double().numpy()
