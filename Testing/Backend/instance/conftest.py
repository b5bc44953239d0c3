from __future__ import annotations

from collections.abc import Callable
from typing import Union

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.space.grid import Grid

Scene = Callable[[np.ndarray], np.ndarray]
Back = Union[np.ndarray, Scene, None]


@pytest.fixture
def a_scene_of() -> Callable[..., Scene]:
    """A function of space, (N, 3) RAS mm -> (channels + 1, N): smooth blobs without symmetry, and last the weight of an
    egg-shaped body of about 80 mm radius. Known everywhere, so that a moved image needs no interpolation."""

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
def seen_on() -> Callable[..., Channels]:
    """The scene on a grid; back: where the scene shows what lies at a point of the grid's world (4x4 or a function)."""

    def build(scene: Scene, grid: Grid, back: Back = None) -> Channels:
        index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1).reshape(-1, 3)
        points = grid.index_to_world(index)
        if callable(back):
            points = back(points)
        elif back is not None:
            points = points @ back[:3, :3].T + back[:3, 3]
        found = torch.from_numpy(scene(points)).float().view(-1, *grid.shape)
        return Channels(found[:-1], found[-1], grid)

    return build


@pytest.fixture
def twelve_parameters() -> np.ndarray:
    """4x4: shift, turn, stretch and shear, none of them zero and no two alike."""
    tangent = np.zeros((4, 4))
    tangent[:3] = [[0.06, -0.14, 0.05, 7.0], [0.10, -0.05, -0.09, -5.0], [-0.03, 0.07, 0.04, 4.0]]
    return expm(tangent)


@pytest.fixture
def apart_mm() -> Callable[..., np.ndarray]:
    """(N,) how far two 4x4 send the voxels that count from one another, mm."""

    def measure(one: np.ndarray, two: np.ndarray, fixed: Channels) -> np.ndarray:
        points = fixed.grid.index_to_world((fixed.weight > 0.5).nonzero().numpy())
        return np.linalg.norm(points @ (one - two)[:3, :3].T + (one - two)[:3, 3], axis=1)

    return measure
