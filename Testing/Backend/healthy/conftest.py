"""A synthetic head with a known brain, and networks with known output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from SlicerSynthReg.healthy import pipeline
from SlicerSynthReg.healthy.una import UNA, UNAConfig
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.weights.registry import Card, save_model

SMALL = UNAConfig(UNetConfig(inputs=2, outputs=4, widths=(4, 4, 4)), hidden=4)


@pytest.fixture
def ras_grid() -> Grid:
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-72, -78, -66]
    return Grid((49, 53, 45), affine)


@pytest.fixture
def head_on() -> Callable[[Grid], Image]:
    """Return a function grid -> head in scanner units.

    The head is an ellipsoid with a bright core, a bright ball on its right and a smaller one on its left, centred 4 mm
    left of the origin.
    """

    def build(grid: Grid) -> Image:
        at = grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy())
        x, y, z = (torch.from_numpy(at.T).float() + torch.tensor([[4.0], [0.0], [0.0]])).view(3, *grid.shape)
        radius = ((x / 52) ** 2 + (y / 64) ** 2 + (z / 50) ** 2).sqrt()
        image = 60 * torch.sigmoid((1 - radius) * 40) + 50 * torch.sigmoid((0.75 - radius) * 40)
        for side, size in ((1, 12.0), (-1, 9.0)):
            there = ((x - side * 26) ** 2 + (y - 12) ** 2 + (z - 6) ** 2).sqrt()
            image = image + 60 * torch.sigmoid((size - there) / 2)
        return Image((image * 7 + 11)[None], grid)

    return build


@pytest.fixture
def identity_network() -> Callable[..., UNA]:
    def build(anomaly: float = -6.0) -> UNA:
        model = UNA(SMALL).eval()
        last = model.maps[2]
        last.weight.data.zero_()
        last.bias.data.copy_(torch.tensor([0.0, 20.0, 0.0, anomaly, -3.0]))
        return model

    return build


@pytest.fixture
def dark_network() -> UNA:
    """A network whose T1 is 0.1 everywhere: too dark to extend the brain mask."""
    model = UNA(SMALL).eval()
    last = model.maps[2]
    last.weight.data.zero_()
    last.bias.data.copy_(torch.tensor([0.1, 0.0, 0.0, -6.0, -3.0]))
    return model


@pytest.fixture
def installed_model(identity_network, tmp_path, monkeypatch) -> None:
    """Install the identity network as the model una-test; there is no brain network."""
    card = Card("una-test", "UNA", SMALL.to_card(), "", "Apache-2.0", "none", "tests", "any", 3.0, "any", "by hand")
    save_model(card, identity_network().state_dict(), tmp_path / "weights")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(pipeline, "registration_card", lambda name: None)
