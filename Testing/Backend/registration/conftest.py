from __future__ import annotations

from collections.abc import Callable
from typing import Union

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.spatial.grid import Grid

Scene = Callable[[np.ndarray], np.ndarray]
Warp = Union[np.ndarray, Scene, None]


@pytest.fixture
def random_scene() -> Callable[..., Scene]:
    """Build a function of space, (N, 3) RAS mm -> (channels + 1, N): asymmetric smooth blobs, and last the weight of an
    egg-shaped body of about 80 mm radius. Analytic, so that a warped image needs no interpolation."""

    def build(channels: int = 4, blobs: int = 60, width: float = 16.0, seed: int = 0) -> Scene:
        random = np.random.default_rng(seed)
        centers = random.uniform(-70, 70, (blobs, 3))
        heights = random.normal(size=(channels, blobs))
        widths = width * random.uniform(0.7, 1.5, blobs)

        def scene(points: np.ndarray) -> np.ndarray:
            distance = (points**2).sum(1)[:, None] - 2 * points @ centers.T + (centers**2).sum(1)
            values = heights @ np.exp(-0.5 * distance / widths**2).T
            r, a, s = ((points + [6, -4, 3]) / [62, 80, 70]).T
            radius = np.sqrt(r**2 + (a * (1 + 0.25 * s)) ** 2 + s**2)
            weight = np.clip((1 - radius) * 8, 0, 1)
            return np.concatenate([values * np.clip((1.15 - radius) * 8, 0, 1), weight[None]])

        return scene

    return build


@pytest.fixture
def scene_on() -> Callable[..., FeatureImage]:
    """Sample a scene on a grid. warp: maps the grid's world to the scene's (4x4 or a function)."""

    def build(scene: Scene, grid: Grid, warp: Warp = None) -> FeatureImage:
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1).reshape(-1, 3)
        points = grid.index_to_world(index)
        if callable(warp):
            points = warp(points)
        elif warp is not None:
            points = points @ warp[:3, :3].T + warp[:3, 3]
        found = torch.from_numpy(scene(points)).float().view(-1, *grid.shape)
        return FeatureImage(found[:-1], found[-1], grid)

    return build


@pytest.fixture
def known_affine() -> np.ndarray:
    """4x4 with translation, rotation, scaling and shear, all different and non-zero."""
    tangent = np.zeros((4, 4))
    tangent[:3] = [[0.06, -0.14, 0.05, 7.0], [0.10, -0.05, -0.09, -5.0], [-0.03, 0.07, 0.04, 4.0]]
    return expm(tangent)


@pytest.fixture
def distance_mm() -> Callable[..., np.ndarray]:
    """Return (N,) the distance, mm, between the images of the foreground voxels under two 4x4."""

    def measure(one: np.ndarray, two: np.ndarray, fixed: FeatureImage) -> np.ndarray:
        points = fixed.grid.index_to_world((fixed.weight > 0.5).nonzero().numpy())
        return np.linalg.norm(points @ (one - two)[:3, :3].T + (one - two)[:3, 3], axis=1)

    return measure
