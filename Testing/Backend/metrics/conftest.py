from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.grid import Grid


@pytest.fixture
def grid_of() -> Callable[..., Grid]:
    """A grid of given shape and spacing along R, A, S."""

    def build(shape: tuple[int, int, int], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Grid:
        return Grid(shape, np.diag([*spacing, 1.0]))

    return build


@pytest.fixture
def labels_of() -> Callable[..., Image]:
    """A label volume from a nested list or tensor (I, J, K)."""

    def build(values: object, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Image:
        data = torch.as_tensor(values, dtype=torch.int32)
        return Image(data[None], Grid(tuple(data.shape), np.diag([*spacing, 1.0])), kind="labels")

    return build


@pytest.fixture
def image_of() -> Callable[..., Image]:
    def build(values: object) -> Image:
        data = torch.as_tensor(values, dtype=torch.float32)
        return Image(data[None], Grid(tuple(data.shape), np.eye(4)))

    return build
