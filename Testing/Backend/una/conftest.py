"""A head whose brain is known, and networks whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.una.model import UNA, UNAConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.space.grid import Grid, index_lattice
from SlicerSynthReg.tasks import healthy, register
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.weights.registry import Card, save_model

SMALL = UNAConfig(UNetConfig(inputs=2, outputs=4, widths=(4, 4, 4)), hidden=4)


@pytest.fixture
def upright() -> Grid:
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-72, -78, -66]
    return Grid((49, 53, 45), affine)


@pytest.fixture
def a_head_on() -> Callable[[Grid], Volume]:
    """An egg, brighter inside, with a bright blob on its right and a smaller one at the same height on its left, its
    middle 4 mm left of the world's; in scanner units."""

    def build(grid: Grid) -> Volume:
        at = grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy())
        x, y, z = (torch.from_numpy(at.T).float() + torch.tensor([[4.0], [0.0], [0.0]])).view(3, *grid.shape)
        radius = ((x / 52) ** 2 + (y / 64) ** 2 + (z / 50) ** 2).sqrt()
        image = 60 * torch.sigmoid((1 - radius) * 40) + 50 * torch.sigmoid((0.75 - radius) * 40)
        for side, size in ((1, 12.0), (-1, 9.0)):
            there = ((x - side * 26) ** 2 + (y - 12) ** 2 + (z - 6) ** 2).sqrt()
            image = image + 60 * torch.sigmoid((size - there) / 2)
        return Volume((image * 7 + 11)[None], grid)

    return build


@pytest.fixture
def a_network_that_returns_the_scan() -> Callable[..., UNA]:
    def build(anomaly: float = -6.0) -> UNA:
        model = UNA(SMALL).eval()
        last = model.maps[2]
        last.weight.data.zero_()
        last.bias.data.copy_(torch.tensor([0.0, 20.0, 0.0, anomaly, -3.0]))
        return model

    return build


@pytest.fixture
def a_network_that_sees_next_to_nothing() -> UNA:
    """Its T1 is 0.1 everywhere: too dark to add anything to the brain that was recognised."""
    model = UNA(SMALL).eval()
    last = model.maps[2]
    last.weight.data.zero_()
    last.bias.data.copy_(torch.tensor([0.1, 0.0, 0.0, -6.0, -3.0]))
    return model


@pytest.fixture
def installed(a_network_that_returns_the_scan, tmp_path, monkeypatch) -> None:
    """That network as the model una-test, and no network that recognises brains."""
    card = Card("una-test", "UNA", SMALL.to_card(), "", "Apache-2.0", "none", "tests", "any", 3.0, "any", "by hand")
    save_model(card, a_network_that_returns_the_scan().state_dict(), tmp_path / "weights")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))
    for task in (healthy, register):
        monkeypatch.setattr(task, "chosen_card", lambda name: None)
