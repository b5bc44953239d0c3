from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.record import LabelOverlap, RegistrationReport, RunRecord, TransformQuality
from SlicerSynthReg.spatial.grid import Grid


def ball(grid: Grid, centre_mm, radius_mm: float) -> np.ndarray:
    index = np.indices(grid.shape).reshape(3, -1).T
    inside = np.linalg.norm(grid.index_to_world(index) - np.asarray(centre_mm), axis=1) < radius_mm
    return inside.reshape(grid.shape)


def anatomy(grid: Grid, name: str = "head.nii.gz") -> Image:
    """Return a grey head of 40 mm radius with a bright ball: left, anterior, superior."""
    values = 50.0 * ball(grid, (0, 0, 0), 40) + 150.0 * ball(grid, (-20, 16, 12), 9)
    return Image(torch.from_numpy(values).float()[None], grid, name=name)


def straight(spacing) -> Grid:
    shape = tuple(int(round(100 / s)) for s in spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * np.array(spacing)
    return Grid(shape, affine)


def awkward() -> Grid:
    """Return a grid with axes S, R, A, two of them reversed, left-handed, anisotropic, 4 degrees oblique."""
    axes = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]]) @ np.diag([2.0, 1.0, 1.5])
    axes = Rotation.from_euler("xyz", [4, 0, 0], degrees=True).as_matrix() @ axes
    axes[:, 0] *= -1
    shape = np.array([50, 100, 67])
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -axes @ ((shape - 1) / 2)
    return Grid(tuple(shape.tolist()), affine)


@pytest.fixture(params=["isotropic", "thick slices", "awkward"])
def grid(request) -> Grid:
    return {"isotropic": straight((2, 2, 2)), "thick slices": straight((1, 1, 4)), "awkward": awkward()}[request.param]


@pytest.fixture
def head(grid) -> Image:
    return anatomy(grid)


@pytest.fixture
def plain_head() -> Image:
    return anatomy(straight((2, 2, 2)))


@pytest.fixture
def report() -> RegistrationReport:
    return RegistrationReport(
        fixed_name="fixed.nii.gz",
        moving_name="moving.nii.gz",
        transform_quality=TransformQuality(0.0, 0.5, 2.0, 0.02, 0.01),
        run=RunRecord("synthmorph-brain", {"weight": 1.0}, {"read": 1.25, "network": 2.5}, 1234.5, "cpu", "0.1"),
        overlap=LabelOverlap(0.4, 0.7, {"Left": (0.3, 0.2), "Right": (0.5, 0.9)}),
        warnings=("little overlap",),
    )
