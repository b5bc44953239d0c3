from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from SlicerSynthReg.networks.extractor import AnatomixNet, Extractor, ExtractorConfig
from SlicerSynthReg.networks.unet import UNetConfig

SMALL = ExtractorConfig(UNetConfig(1, 5, (4, 8, 8)), window=32, overlap=0.4)


class Pointwise(nn.Module):
    """Channels that see no neighbour: windows must not show."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([image, image.square(), 1 - image], 1)


class Placed(nn.Module):
    """Says at every voxel how far it lies from its window's faces, as zero padding would."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        edge = torch.zeros_like(image)
        edge[:, :, :4] = edge[:, :, -4:] = 1
        return edge


@pytest.fixture
def an_extractor_of():
    def build(net: nn.Module, **changes) -> Extractor:
        extractor = Extractor(dataclasses.replace(SMALL, **changes))
        extractor.net = net
        return extractor.eval()

    return build


@pytest.mark.parametrize("shape", [(20, 33, 70), (32, 32, 32), (9, 100, 40)])
def test_windows_cover_the_image_and_leave_no_seam(an_extractor_of, seeded, shape):
    image = torch.rand((1, 1, *shape), generator=seeded(0))
    seen = an_extractor_of(Pointwise(), unit_length=False)(image)
    assert torch.allclose(seen, Pointwise()(image)[0], atol=1e-5)


def test_blending_weights_are_largest_at_a_windows_centre(an_extractor_of):
    seen = an_extractor_of(Placed(), unit_length=False)(torch.zeros(1, 1, 90, 32, 32))[0, :, 16, 16]
    assert seen[10:80].max() < 0.2  # evenly weighed, the faces of inner windows would weigh a half
    assert seen[0] == seen[-1] == 1


def test_unit_features_have_length_one_everywhere(seeded):
    torch.manual_seed(0)
    seen = Extractor(SMALL).eval()(torch.rand((1, 1, 40, 24, 24), generator=seeded(0)))
    assert seen.shape == (5, 40, 24, 24) and torch.allclose(seen.norm(dim=0), torch.ones(40, 24, 24), atol=1e-4)


def test_a_configuration_is_rebuilt_from_its_card():
    for config in (SMALL, ExtractorConfig(None, unit_length=False)):
        values = dict(config.to_card())
        if values["unet"]:
            values["unet"] = {k: list(v) if isinstance(v, tuple) else v for k, v in values["unet"].items()}
        assert ExtractorConfig.from_card(values) == config


@pytest.fixture(scope="module")
def published_network() -> AnatomixNet:
    torch.manual_seed(0)
    return AnatomixNet().eval()


def test_the_published_layout(published_network):
    state = published_network.state_dict()
    assert tuple(state["model.0.weight"].shape) == (16, 1, 3, 3, 3)
    assert tuple(state["model.65.weight"].shape) == (16, 16, 3, 3, 3)
    assert not any(f"model.{n}.bias" in state for n in (0, 31, 65))  # convolutions have none, norms do
    assert "model.1.running_mean" in state and "model.66.weight" not in state
    parameters = sum(p.numel() for p in published_network.parameters())
    assert parameters == pytest.approx(5.90e6, rel=2e-3)


def test_the_encoders_channels_come_before_the_decoders(published_network, seeded):
    """Deaf to the channels after the first 128, the decoder's first layer hears nothing of the bottleneck."""
    image = torch.rand((1, 1, 32, 32, 32), generator=seeded(0))
    with torch.no_grad():
        before = published_network(image)
        published_network.model[38].weight[:, 128:] = 0
        deaf = published_network(image)
        published_network.model[34].weight.mul_(-1)
        assert torch.equal(published_network(image), deaf) and not torch.allclose(before, deaf)
        published_network.model[27].weight.mul_(-1)
        assert not torch.allclose(published_network(image), deaf)


def test_small_images_are_padded(published_network):
    extractor = Extractor(ExtractorConfig(None, unit_length=False))
    extractor.eval()
    assert extractor(torch.rand(1, 1, 9, 20, 17)).shape == (16, 9, 20, 17)
