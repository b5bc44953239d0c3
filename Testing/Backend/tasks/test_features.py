from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.nets.extractor import METHOD, Extractor, ExtractorConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.request import Request
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks.features import described
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import Card, available, read_card, save_model

BRAINS = "synthmorph-brains"


@pytest.fixture
def a_network_that_sees_brightness(tmp_path, monkeypatch) -> str:
    """Its first channel is the image, the others nothing."""
    extractor = Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 4)), unit=False))
    said = dict.fromkeys(("licence", "training_data", "intended_use", "limits", "modalities", "trained_with"), "-")
    card = Card("brightness", METHOD, extractor.config.to_card(), "", spacing_mm=3.0, **said)
    save_model(card, extractor.state_dict(), tmp_path / "weights")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))

    def channels(self, image):
        return torch.cat([image[0], torch.zeros(3, *image.shape[2:])])

    monkeypatch.setattr(Extractor, "forward", channels)
    return card.name


def test_features_lie_where_the_image_lies(a_network_that_sees_brightness, tmp_path):
    """A slanting, left-handed image: a channel at a point of the world is the image there."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [12, -8, 20], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag([-2.0, 2.5, 3.0])
    grid = Grid((40, 34, 30), affine)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    points = grid.index_to_world(index) - grid.center_mm
    ball = 900 * np.exp(-((points - [6, -5, 4]) ** 2).sum(1) / (2 * 9.0**2))
    write_volume(Volume(torch.from_numpy(ball).float().reshape(1, *grid.shape), grid), tmp_path / "ball.nii.gz")
    asked = {"model": a_network_that_sees_brightness, "spacing_mm": 2.0}
    result = run(Request("features", {"image": str(tmp_path / "ball.nii.gz")}, str(tmp_path / "out"), asked))
    assert result.report["channels"] == 4 and result.report["spacing_mm"] == 2
    seen = read_volume(result.outputs["features"], frame=0)
    where = seen.grid.index_to_world(np.argwhere(np.ones(seen.grid.shape)))
    weight = seen.data[0].double().numpy().ravel()
    centre = (where * weight[:, None]).sum(0) / weight.sum()
    np.testing.assert_allclose(centre, grid.center_mm + [6, -5, 4], atol=0.3)
    assert np.allclose(seen.grid.affine[:3, :3], np.diag([2.0, 2.0, 2.0]))


@pytest.mark.skipif(BRAINS not in available(), reason="the brains model is not installed")
def test_of_a_registrations_network_it_is_the_finest_features(seeded):
    image = torch.rand((1, 24, 24, 24), generator=seeded(0))
    with torch.inference_mode():
        seen = described(read_card(BRAINS), image, torch.device("cpu"))
    assert seen.shape == (16, 24, 24, 24)
    assert torch.allclose(seen.square().sum(0), torch.ones(24, 24, 24), atol=1e-4)
