from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.api.features import extract_features, network_features
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.networks.extractor import METHOD, Extractor, ExtractorConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.weights.registry import Card, available, read_card, save_model

BRAINS = "synthmorph-brains"


@pytest.fixture
def a_network_that_copies_intensity(tmp_path, monkeypatch) -> str:
    """Its first channel is the image, the others nothing."""
    extractor = Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 4)), unit_length=False))
    said = dict.fromkeys(("licence", "training_data", "intended_use", "limits", "modalities", "trained_with"), "-")
    card = Card("brightness", METHOD, extractor.config.to_card(), "", spacing_mm=3.0, **said)
    save_model(card, extractor.state_dict(), tmp_path / "weights")
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path / "weights"))

    def channels(self, image):
        return torch.cat([image[0], torch.zeros(3, *image.shape[2:])])

    monkeypatch.setattr(Extractor, "forward", channels)
    return card.name


def test_features_lie_where_the_image_lies(a_network_that_copies_intensity, tmp_path):
    """An oblique, left-handed image: a channel at a world point equals the image there."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [12, -8, 20], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag([-2.0, 2.5, 3.0])
    grid = Grid((40, 34, 30), affine)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    points = grid.index_to_world(index) - grid.center_mm
    ball = 900 * np.exp(-((points - [6, -5, 4]) ** 2).sum(1) / (2 * 9.0**2))
    write_image(Image(torch.from_numpy(ball).float().reshape(1, *grid.shape), grid), tmp_path / "ball.nii.gz")
    parameters = {"model": a_network_that_copies_intensity, "spacing_mm": 2.0}
    result = run(Request("features", {"image": str(tmp_path / "ball.nii.gz")}, str(tmp_path / "out"), parameters))
    assert result.report["channels"] == 4 and result.report["spacing_mm"] == 2
    features = read_image(result.outputs["features"], frame=0)
    where = features.grid.index_to_world(np.argwhere(np.ones(features.grid.shape)))
    weight = features.data[0].double().numpy().ravel()
    centre = (where * weight[:, None]).sum(0) / weight.sum()
    np.testing.assert_allclose(centre, grid.center_mm + [6, -5, 4], atol=0.3)
    assert np.allclose(features.grid.affine[:3, :3], np.diag([2.0, 2.0, 2.0]))
    in_memory = extract_features(read_image(tmp_path / "ball.nii.gz"), **parameters)
    assert len(in_memory.data) == 4 and torch.equal(in_memory.data[0], features.data[0])


@pytest.mark.skipif(BRAINS not in available(), reason="the brains model is not installed")
def test_a_registration_network_gives_its_finest_features(seeded):
    image = torch.rand((1, 24, 24, 24), generator=seeded(0))
    with torch.inference_mode():
        features = network_features(read_card(BRAINS), image, torch.device("cpu"))
    assert features.shape == (16, 24, 24, 24)
    assert torch.allclose(features.square().sum(0), torch.ones(24, 24, 24), atol=1e-4)
