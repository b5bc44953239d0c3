"""Fixtures for tests inside the host; a folder's conftest.py imports them all."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from slicerhost.process import INSIDE

__all__: list[str] = []

if os.environ.get(INSIDE):
    __all__ = ["a_clean_host", "a_labelmap", "a_volume", "scene"]


@pytest.fixture(autouse=True)
def a_clean_host() -> Iterator[None]:
    """No plans, no nodes, nothing installed, no test mode."""
    import slicer

    from slicerhost import close_scene, dialogs, extensions, packaging

    gc.collect()  # frees the widgets of a test that failed now, not in the midst of a later one
    for thing in (dialogs, extensions, packaging):
        thing.forget()
    slicer.app.setTestingEnabled(False)
    close_scene()
    yield
    close_scene()


@pytest.fixture
def scene() -> Any:
    import slicer

    return slicer.mrmlScene


@pytest.fixture
def a_volume() -> Callable[..., Any]:
    """A scalar volume: a bright ball off centre in noise-free dark, 2 mm voxels unless an affine says otherwise."""

    def build(
        name: str = "volume",
        shape: tuple[int, int, int] = (40, 44, 36),
        ijk_to_ras: np.ndarray | None = None,
        shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> Any:
        import slicer

        affine = np.diag([2.0, 2.0, 2.0, 1.0]) if ijk_to_ras is None else np.asarray(ijk_to_ras, float)
        if ijk_to_ras is None:
            affine[:3, 3] = -(np.array(shape) - 1.0)
        centre = np.array([6.0, -4.0, 5.0]) + shift_mm
        values = _ball(shape, affine, centre, 22.0) * 200 + _ball(shape, affine, centre + [8.0, 0.0, 0.0], 6.0) * 300
        return slicer.util.addVolumeFromArray(values.T.astype(np.int16), affine, name)

    return build


@pytest.fixture
def a_labelmap() -> Callable[..., Any]:
    """Label 1 where `a_volume` is bright."""

    def build(name: str = "labels", shape: tuple[int, int, int] = (40, 44, 36)) -> Any:
        import slicer

        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        affine[:3, 3] = -(np.array(shape) - 1.0)
        ball = _ball(shape, affine, np.array([6.0, -4.0, 5.0]), 22.0)
        return slicer.util.addVolumeFromArray(ball.T.astype(np.uint8), affine, name, "vtkMRMLLabelMapVolumeNode")

    return build


def _ball(shape: tuple[int, int, int], affine: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    return (np.linalg.norm(points - centre, axis=-1) < radius).astype(float)
