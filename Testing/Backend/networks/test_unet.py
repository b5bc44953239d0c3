from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.networks.unet import UNet, UNetConfig, pad_to_multiple

SMALL = (4, 8, 8)


def built(seed: int = 0, **changes: object) -> UNet:
    torch.manual_seed(seed)
    config: dict = {"inputs": 1, "outputs": 5, "widths": SMALL, **changes}
    return UNet(UNetConfig(**config)).eval()


@pytest.mark.parametrize(("finest", "expected"), [(0, (7, 9, 11)), (1, (4, 5, 6))])
def test_odd_sizes_are_kept_at_every_resolution(finest, expected):
    net = built(finest=finest, inputs=2)
    with torch.no_grad():
        assert net(torch.rand(2, 2, 7, 9, 11)).shape == (2, 5, *expected)


def test_the_pyramid_halves_from_level_to_level_finest_first():
    with torch.no_grad():
        levels = built().pyramid(torch.rand(1, 1, 8, 12, 16))
    assert [tuple(level.shape[2:]) for level in levels] == [(8, 12, 16), (4, 6, 8), (2, 3, 4)]
    assert [level.shape[1] for level in levels] == [5, 8, 8]


def test_padding_repeats_the_far_edge():
    image = torch.arange(3.0).view(1, 1, 3, 1, 1) + 1
    assert pad_to_multiple(image, 4)[0, 0, :, 0, 0].tolist() == [1, 2, 3, 3]
    assert pad_to_multiple(image, 3).shape == (1, 1, 3, 3, 3)
    whole = torch.rand(1, 1, 4, 4, 4)
    assert pad_to_multiple(whole, 4) is whole


@pytest.mark.parametrize("norm", ["group", "none"])
def test_a_shift_by_the_multiple_shifts_the_output(norm, seeded):
    """The object lies far from every face: what is left is the network, which must not know where it is."""
    net = built(norm=norm, finest=0)
    image = torch.zeros(1, 1, 40, 36, 36)
    image[:, :, 14:20, 14:22, 14:22] = torch.rand((1, 1, 6, 8, 8), generator=seeded(0))
    with torch.no_grad():
        here, there = net(image), net(image.roll(net.multiple, 2))
    inner = (..., slice(8, -8), slice(8, -8), slice(8, -8))
    assert torch.allclose(here.roll(net.multiple, 2)[inner], there[inner], atol=1e-4)
    assert (here - there)[inner].abs().max() > 0.05


def test_features_of_a_constant_image_are_constant_up_to_its_edges():
    """Compared block by block, since a transposed convolution draws its pattern into each block."""

    def edge_effect(net: UNet) -> float:
        with torch.no_grad():
            features = net(torch.full((1, 1, 20, 20, 20), 0.7))[..., ::4, ::4, ::4]
        return float((features - features[..., 2:3, 2:3, 2:3]).abs().max() / features.std())

    repeated, zeros = built(norm="none"), built(norm="none")
    for layer in zeros.modules():
        if isinstance(layer, torch.nn.Conv3d):
            layer.padding_mode = "zeros"
    assert edge_effect(repeated) < 0.02 < 0.1 < edge_effect(zeros)


def test_a_batch_element_equals_that_element_alone(seeded):
    net = built()
    images = torch.rand((3, 1, 8, 8, 8), generator=seeded(0))
    with torch.no_grad():
        together = net(images)
        assert torch.allclose(together[1:2], net(images[1:2]), atol=1e-5)


def test_group_normalisation_removes_gain_and_none_keeps_it():
    image = torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        plain, normed = built(norm="none"), built(norm="group")
        assert (plain(image) - plain(4 * image)).abs().max() > 0.05
        assert torch.allclose(normed(image), normed(4 * image), atol=1e-2)


def test_every_weight_has_a_gradient():
    net = built(finest=0)
    net(torch.rand(1, 1, 8, 8, 8)).square().mean().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in net.parameters())
