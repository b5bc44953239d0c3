from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from SlicerSynthReg.contrast.baselines import (
    T,
    add_noise,
    alpha_bar,
    denoise,
    diffusion_loss,
    regress,
    regression_loss,
)
from SlicerSynthReg.contrast.config import METHODS, SolverConfig, other_phase
from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.contrast.slice_network import SliceNetwork
from SlicerSynthReg.networks.time_resnet import TimeResNetConfig

TINY = TimeResNetConfig(widths=(8, 16), encoder_blocks=(1, 2), time_channels=16)


class Known(nn.Module):
    """Answers with the noise that leads from x_t back to `truth`."""

    def __init__(self, truth: torch.Tensor) -> None:
        super().__init__()
        self.truth, self.anchor = truth, nn.Parameter(torch.zeros(1))
        self.noises: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = alpha_bar()[(t * T).round().long()].view(-1, 1, 1, 1)
        self.noises.append((x[:, -1:] - a.sqrt() * self.truth) / (1 - a).sqrt())
        return self.noises[-1]


def test_beta_runs_from_its_start_to_its_end():
    a = alpha_bar()
    assert len(a) == T + 1 and a[0] == 1
    assert float(1 - a[1]) == pytest.approx(1e-4, rel=1e-3)
    assert float(1 - a[T] / a[T - 1]) == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_a_network_that_knows_the_noise_leads_back_to_the_image(seeded, steps):
    """Not so with the paper's printed bracket, whose t and t - 1 are exchanged."""
    truth = torch.rand(4, 1, 6, 5, generator=seeded(0)) - 0.5
    noise = torch.randn(6, 5, generator=seeded(1))
    net = Known(truth)
    found = denoise(SliceNetwork(net, 0), torch.zeros(4, 6, 5), noise, steps)
    assert torch.allclose(found, truth[:, 0], atol=2e-3)
    assert len(net.noises) == steps


def test_every_slice_begins_at_the_same_noise(seeded):
    net = Known(torch.zeros(4, 1, 6, 5))
    denoise(SliceNetwork(net, 0), torch.zeros(4, 6, 5), torch.randn(6, 5, generator=seeded(1)), 3)
    assert all(torch.equal(net.noises[0][0], one) for one in net.noises[0])


def test_the_noise_is_what_is_learned_beside_the_other_image(seeded):
    source, target = (torch.rand(2, 3, 4, 4, generator=seeded(n)) for n in range(2))
    noise, t = torch.randn(2, 1, 4, 4, generator=seeded(2)), torch.tensor([10, 900])
    seen = {}

    def net(x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        seen.update(x=x, t=times)
        return noise + 2

    assert float(diffusion_loss(net, source, target, t, noise)) == pytest.approx(4)
    assert torch.equal(seen["x"][:, :3], source) and torch.allclose(seen["t"], torch.tensor([0.01, 0.9]))
    assert torch.equal(seen["x"][:, 3:], add_noise(target[:, 1:2], t, noise))


def test_regression_is_the_mean_absolute_error_of_the_middle_slice():
    source, target = torch.zeros(1, 3, 2, 2), torch.tensor([5.0, 2.0, 7.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert float(regression_loss(lambda x, t: torch.full((1, 1, 2, 2), -1.0), source, target, "native")) == 3


def test_regression_states_the_target_phase_by_its_time():
    times = []

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            times.append(t.tolist())
            return x * 0 + 0.25

    found = regress(SliceNetwork(Noting(), 0), torch.ones(2, 1, 1), "arterial")
    assert times == [[1.0, 1.0]] and found.flatten().tolist() == [1.25, 1.25]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("phase", ["native", "arterial"])
def test_every_method_trains_and_converts_in_its_directions(seeded, method, phase):
    torch.manual_seed(0)
    model = ContrastModel(ContrastConfig(method, TINY, neighbours=1, target_phase=phase))
    native, contrast = (torch.rand(2, 3, 9, 10, generator=seeded(n)) for n in range(2))
    loss = model.loss(native, contrast, seeded(3))
    loss.backward()
    assert model.net.head[-1].weight.grad.abs().sum() > 0
    f = SliceNetwork(model.net, 1)
    assert model.convert(f, native[:, 1], phase, SolverConfig(steps=2)).shape == (2, 9, 10)
    if method != "flow":
        with pytest.raises(ValueError, match=f"expected {phase} for this model"):
            model.convert(f, native[:, 1], other_phase(phase), SolverConfig())


def test_a_loss_depends_on_its_generator_alone(seeded):
    model = ContrastModel(ContrastConfig("flow", TINY, 0))
    native, contrast = (torch.rand(2, 1, 8, 8, generator=seeded(n)) for n in range(2))
    nn.init.normal_(model.net.head[-1].weight)
    one, again, other = (float(model.loss(native, contrast, seeded(n)).detach()) for n in (5, 5, 6))
    assert one == again != other


def test_the_card_holds_the_whole_configuration():
    import json

    config = ContrastConfig("ddpm", dataclasses.replace(TINY, bottleneck="mamba"), 2, "arterial")
    assert ContrastConfig.from_card(json.loads(json.dumps(config.to_card()))) == config


@pytest.mark.parametrize("wrong", [{"method": "gan"}, {"target_phase": "venous"}])
def test_an_unknown_method_is_refused(wrong):
    with pytest.raises(ValueError, match="expected one of"):
        ContrastConfig(**wrong)
