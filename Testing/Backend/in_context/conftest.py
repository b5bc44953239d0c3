from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.weights.registry import Card, save_model


def averaging(one_way: bool = True) -> Neuralizer:
    """Return a network that predicts the mean of its examples' outputs for any target (majority-vote atlas)."""
    network = Neuralizer(NeuralizerConfig(width=4, stages=2, one_way=one_way)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.embed_c.weight[0, 3] = 1
        network.blocks[0].to_target.of_b.weight[:, :, 0, 0] = torch.eye(4)
        network.join_x[0].of_b.weight[:, :, 0, 0] = torch.eye(4)
        network.head.weight[0, 0] = 1
    return network


@pytest.fixture(scope="session")
def an_averaging_network() -> Neuralizer:
    return averaging()


@pytest.fixture
def an_averaging_model(tmp_path, monkeypatch) -> str:
    """Install the averaging network in a temporary folder of user models; return its name."""
    folder = tmp_path / "models"
    network = averaging()
    card = Card(
        "voting", "Neuralizer", network.config.to_card(), "", "Apache-2.0", "none", "tests", "knows nothing", 1.0,
        "any", "by hand",
    )  # fmt: skip
    save_model(card, network.state_dict(), folder)
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(folder))
    return "voting"


def head(center_mm: np.ndarray, spacing: float, oblique: bool = False, scale: float = 1.0) -> tuple[Image, Image]:
    """Return a head of 80 x 100 x 80 mm with a ball of 15 mm radius in its left half, and labels: ball 3, rest 1."""
    shape = tuple(int(n / spacing) for n in (100, 120, 100))
    axes = np.eye(3) * spacing
    if oblique:
        axes = Rotation.from_euler("xyz", [12, -8, 15], degrees=True).as_matrix() @ np.diag(
            [-spacing, spacing, spacing]
        )
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = center_mm - axes @ ((np.array(shape) - 1) / 2)
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    points = grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy()) - center_mm
    radius = np.linalg.norm(points / (np.array([40, 50, 40]) * scale), axis=1)
    ball = np.linalg.norm(points - np.array([-15, 10, 5]) * scale, axis=1) < 15 * scale
    labels = np.where(ball, 3, np.where(radius < 1, 1, 0))
    noise = np.random.default_rng(0).normal(0, 4, len(points))
    image = np.where(ball, 180.0, np.where(radius < 1, 100.0 + 30 * np.sin(points[:, 1] / 9), 0.0)) + noise
    as_volume = torch.from_numpy(labels).int().view(1, *grid.shape)
    return Image(torch.from_numpy(image).float().view(1, *grid.shape), grid), Image(as_volume, grid, "labels")


@pytest.fixture
def a_head() -> Callable[..., tuple[Image, Image]]:
    return head


@pytest.fixture
def a_folder_of_examples(tmp_path) -> Path:
    """Return a folder with images/ and labels/ of three heads that differ in size, position and voxel size."""
    folder = tmp_path / "examples"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for n, (center, spacing, scale) in enumerate(
        ([(0, 0, 0), 2.0, 1.0], [(40, -30, 20), 2.5, 1.05], [(-9, 60, 0), 2.0, 0.95])
    ):
        image, labels = head(np.array(center, dtype=float), spacing, scale=scale)
        write_image(image, folder / "images" / f"p{n}.nii.gz")
        write_image(labels, folder / "labels" / f"p{n}.nii.gz")
    return folder
