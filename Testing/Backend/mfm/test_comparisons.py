from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from SlicerSynthReg.methods.mfm.diffusion import T, alpha_bar, denoised, diffusion_loss, noised
from SlicerSynthReg.methods.mfm.model import WAYS, ContrastConfig, ContrastModel
from SlicerSynthReg.methods.mfm.regression import regress, regression_loss
from SlicerSynthReg.methods.mfm.slices import SliceNetwork
from SlicerSynthReg.methods.mfm.solution import Solution
from SlicerSynthReg.nets.time_resnet import TimeResNetConfig

TINY = TimeResNetConfig(widths=(8, 16), down=(1, 2), time=16)


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
    found = denoised(SliceNetwork(net, 0), torch.zeros(4, 6, 5), noise, steps)
    assert torch.allclose(found, truth[:, 0], atol=2e-3)
    assert len(net.noises) == steps


def test_every_slice_begins_at_the_same_noise(seeded):
    net = Known(torch.zeros(4, 1, 6, 5))
    denoised(SliceNetwork(net, 0), torch.zeros(4, 6, 5), torch.randn(6, 5, generator=seeded(1)), 3)
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
    assert torch.equal(seen["x"][:, 3:], noised(target[:, 1:2], t, noise))


def test_regression_is_the_mean_absolute_error_of_the_middle_slice():
    source, target = torch.zeros(1, 3, 2, 2), torch.tensor([5.0, 2.0, 7.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert float(regression_loss(lambda x, t: torch.full((1, 1, 2, 2), -1.0), source, target, "native")) == 3


def test_regression_says_by_its_time_which_image_is_wanted():
    times = []

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            times.append(t.tolist())
            return x * 0 + 0.25

    found = regress(SliceNetwork(Noting(), 0), torch.ones(2, 1, 1), "contrast")
    assert times == [[1.0, 1.0]] and found.flatten().tolist() == [1.25, 1.25]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("to", ["native", "contrast"])
def test_every_way_learns_and_translates_either_direction(seeded, way, to):
    torch.manual_seed(0)
    model = ContrastModel(ContrastConfig(way, TINY, neighbours=1, to=to))
    native, contrast = (torch.rand(2, 3, 9, 10, generator=seeded(n)) for n in range(2))
    loss = model.loss(native, contrast, seeded(3))
    loss.backward()
    assert model.net.head[-1].weight.grad.abs().sum() > 0
    f = SliceNetwork(model.net, 1)
    assert model.translated(f, native[:, 1], to, Solution(steps=2)).shape == (2, 9, 10)
    if way != "flow":
        with pytest.raises(ValueError, match=f"expected '{to}', which the model was made for"):
            model.translated(f, native[:, 1], "native" if to == "contrast" else "contrast", Solution())


def test_a_loss_depends_on_its_generator_alone(seeded):
    model = ContrastModel(ContrastConfig("flow", TINY, 0))
    native, contrast = (torch.rand(2, 1, 8, 8, generator=seeded(n)) for n in range(2))
    nn.init.normal_(model.net.head[-1].weight)
    one, again, other = (float(model.loss(native, contrast, seeded(n)).detach()) for n in (5, 5, 6))
    assert one == again != other


def test_the_card_holds_the_whole_configuration():
    import json

    config = ContrastConfig("ddpm", dataclasses.replace(TINY, middle="mamba"), 2, "contrast")
    assert ContrastConfig.from_card(json.loads(json.dumps(config.to_card()))) == config


@pytest.mark.parametrize("wrong", [{"way": "gan"}, {"to": "venous"}])
def test_an_unknown_method_is_refused(wrong):
    with pytest.raises(ValueError, match="expected one of"):
        ContrastConfig(**wrong)
