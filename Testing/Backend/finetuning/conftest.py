from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.spatial.grid import Grid, index_lattice


def blobs(seed: int, spacing: float = 1.0) -> tuple[Image, Image]:
    """Return an image of 32 mm with a bright ball (label 5) and a dim one (label 2) at random positions, and labels."""
    n = round(32 / spacing)
    affine = np.diag([-spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [10, -20, 5]
    grid = Grid((n, n, n), affine)
    generator = torch.Generator().manual_seed(seed)
    at = index_lattice(grid.shape) * spacing
    image, labels = 0.05 * torch.randn(grid.shape, generator=generator), torch.zeros(grid.shape, dtype=torch.int32)
    for value, brightness, side in ((5, 1.0, 9.0), (2, 0.5, 22.0)):
        centre = side + 3 * torch.rand(3, generator=generator)
        inside = ((at - centre.view(3, 1, 1, 1)) ** 2).sum(0) < 36
        image[inside] += brightness
        labels[inside] = value
    return Image(image[None], grid), Image(labels[None], grid, "labels")


@pytest.fixture
def a_folder_of_blobs(tmp_path) -> Path:
    folder = tmp_path / "blobs"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for n in range(3):
        image, labels = blobs(n)
        write_image(image, folder / "images" / f"b{n}.nii.gz")
        write_image(labels, folder / "labels" / f"b{n}.nii.gz")
    return folder


@pytest.fixture
def my_models(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "my models"
    folder.mkdir()
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(folder))
    return folder
