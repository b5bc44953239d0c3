from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn

from SlicerSynthReg.networks.mamba import MambaLayer, linear_recurrence, selective_scan
from SlicerSynthReg.networks.slice_networks import SLICE_NETWORKS, build_network, from_card, to_card
from SlicerSynthReg.networks.time_resnet import (
    PAPER,
    SCALE,
    Modulation,
    SelfConvolutionAttention,
    TimeResNet,
    TimeResNetConfig,
    sinusoidal,
)

OURS = ("timeresnet", "umamba")
MONAIS = ("unet", "segresnet", "swinunetr")


def small(name: str) -> nn.Module:
    if name in MONAIS:
        pytest.importorskip("monai")
    torch.manual_seed(0)
    net = build_network(dataclasses.replace(SLICE_NETWORKS[name], inputs=3)).eval()
    head = net.head[-1] if isinstance(net.head, nn.Sequential) else net.head
    nn.init.normal_(head.weight)
    for layer in net.modules():
        if isinstance(layer, Modulation):
            nn.init.normal_(layer.linear.weight, std=0.1)
    return net


def parameters_of(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_papers_network_has_the_papers_size():
    with torch.device("meta"):
        assert parameters_of(TimeResNet(PAPER)) == pytest.approx(124.7e6, rel=0.02)


@pytest.mark.parametrize("name", [*OURS, *MONAIS])
def test_small_networks_have_at_most_three_million_parameters(name):
    assert parameters_of(small(name)) <= 3e6


@pytest.mark.parametrize("name", [*OURS, *MONAIS])
def test_odd_sizes_are_kept_and_a_row_does_not_depend_on_its_batch(name, seeded):
    net, x = small(name), torch.rand((3, 3, 37, 50), generator=seeded(1))
    t = torch.tensor([0.1, 0.5, 0.9])
    with torch.no_grad():
        together = net(x, t)
        assert together.shape == (3, 1, 37, 50)
        for n in range(3):
            assert torch.allclose(net(x[n : n + 1], t[n : n + 1]), together[n : n + 1], atol=1e-4)


@pytest.mark.parametrize("name", [*OURS, *MONAIS])
def test_the_output_depends_on_time_and_adjacent_slices(name, seeded):
    net, x = small(name), torch.rand((1, 3, 64, 64), generator=seeded(1))
    other = x.clone()
    other[:, 2] = x[:, 2].flip(-1)
    with torch.no_grad():
        here, later, beside = (net(seen, torch.tensor([t])) for seen, t in ((x, 0.2), (x, 0.8), (other, 0.2)))
    assert (here - later).abs().mean() > 1e-3 and (here - beside).abs().mean() > 1e-3


@pytest.mark.parametrize("name", [*OURS, *MONAIS])
def test_a_new_network_returns_zero(name):
    if name in MONAIS:
        pytest.importorskip("monai")
    with torch.no_grad():
        assert not build_network(SLICE_NETWORKS[name])(torch.rand(1, 1, 64, 64), torch.tensor([0.3])).any()


@pytest.mark.parametrize("name", SLICE_NETWORKS)
def test_a_card_rebuilds_the_configuration(name):
    assert from_card(json.loads(json.dumps(to_card(SLICE_NETWORKS[name])))) == SLICE_NETWORKS[name]


def test_in_bfloat16_the_output_stays_within_half_a_hounsfield_unit(seeded):
    """The network's unit is 1000 HU; its output here spreads over 25 HU, as the velocities of phantoms do, and is not
    rounded at the end."""
    net, x = small("timeresnet"), torch.rand((2, 3, 64, 64), generator=seeded(1)) - 0.5
    t = torch.tensor([0.2, 0.9])
    with torch.no_grad():
        net.head[-1].weight *= 0.025 / net(x, t).std()
        whole = net(x, t)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(x, t)
    assert half.dtype == torch.float32 and 22 < 1000 * float(whole.std()) < 28
    assert len(half.unique()) > len(half.bfloat16().unique())
    assert 0 < 1000 * float((half - whole).abs().mean()) < 0.5


def test_a_missing_monai_names_the_extra_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(RuntimeError, match="expected it for the network unet. Install it with"):
        build_network(SLICE_NETWORKS["unet"])


def test_times_are_encoded_as_sines_and_cosines():
    code = sinusoidal(torch.tensor([0.0, 0.25], dtype=torch.float64), 6)
    assert code[0].tolist() == [0, 0, 0, 1, 1, 1]
    rates = torch.tensor([1, 10_000 ** (-1 / 3), 10_000 ** (-2 / 3)], dtype=torch.float64)
    assert torch.allclose(code[1], torch.cat([(0.25 * SCALE * rates).sin(), (0.25 * SCALE * rates).cos()]))


def test_the_modulation_multiplies_and_adds_by_channel():
    layer = Modulation(2, 3)
    h = torch.rand(1, 3, 4, 5)
    assert torch.equal(layer(h, torch.rand(1, 2)), h)
    with torch.no_grad():
        layer.linear.bias.copy_(torch.tensor([1.0, 0, 0, 0, 7.0, 0]))
    out = layer(h, torch.rand(1, 2))
    assert torch.allclose(out[:, 0], 2 * h[:, 0]) and torch.allclose(out[:, 1], h[:, 1] + 7)
    assert torch.equal(out[:, 2], h[:, 2])


def test_attention_has_a_global_receptive_field(seeded):
    layer = SelfConvolutionAttention(32).eval()
    x = torch.rand((1, 32, 24, 24), generator=seeded(0))
    far = x.clone()
    far[..., 20:, 20:] += 3 * torch.rand((1, 32, 4, 4), generator=seeded(1))
    with torch.no_grad():
        assert ((layer(x) - layer(far))[..., :4, :4]).abs().max() > 1e-4


def sequential_recurrence(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    h, out = torch.zeros_like(b[:, 0]), []
    for n in range(b.shape[1]):
        h = a[:, n] * h + b[:, n]
        out.append(h)
    return torch.stack(out, 1)


@pytest.mark.parametrize("length", [2, 7, 64, 100])
def test_the_parallel_scan_equals_the_sequential_recurrence(length, seeded):
    a, b = (torch.rand((2, length, 3), generator=seeded(n), dtype=torch.float64, requires_grad=True) for n in range(2))
    weights = torch.rand((2, length, 3), generator=seeded(2), dtype=torch.float64)
    found, expected = linear_recurrence(a, b), sequential_recurrence(a, b)
    assert torch.allclose(found, expected, rtol=1e-12)
    ways = [torch.autograd.grad((h * weights).sum(), (a, b), retain_graph=True) for h in (found, expected)]
    assert all(torch.allclose(one, two, rtol=1e-10) for one, two in zip(*ways))


def test_the_selective_scan_equals_its_definition(seeded):
    draw = lambda n, *shape: torch.rand(shape, generator=seeded(n), dtype=torch.float64)  # noqa: E731
    u, delta, a = draw(0, 2, 9, 3), draw(1, 2, 9, 3), -draw(2, 3, 4)
    b, c, d = draw(3, 2, 9, 4), draw(4, 2, 9, 4), draw(5, 3)
    h, out = torch.zeros(2, 3, 4, dtype=torch.float64), []
    for n in range(9):
        h = torch.exp(delta[:, n, :, None] * a) * h + delta[:, n, :, None] * b[:, n, None] * u[:, n, :, None]
        out.append((h * c[:, n, None]).sum(-1) + d * u[:, n])
    assert torch.allclose(selective_scan(u, delta, a, b, c, d), torch.stack(out, 1), rtol=1e-12)


def test_a_mamba_layer_is_causal_with_memory(seeded):
    torch.manual_seed(0)
    layer, x = MambaLayer(16), torch.rand((1, 16, 5, 6), generator=seeded(0))
    other = x.clone()
    other[0, :, 2, 3] += torch.rand(16, generator=seeded(1))
    with torch.no_grad():
        difference = (layer(x) - layer(other)).abs().sum(1).flatten()
    assert not difference[: 2 * 6 + 3].any() and (difference[2 * 6 + 3 :] > 0).all()


def test_the_number_of_levels_is_configurable():
    net = TimeResNet(TimeResNetConfig(widths=(8, 8, 8), encoder_blocks=(1, 1, 1), bottleneck="none", time_channels=8))
    assert net(torch.rand(1, 1, 8, 8), torch.rand(1)).shape == (1, 1, 8, 8)
