from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from SlicerSynthReg.methods.mfm.model import ContrastConfig, ContrastModel
from SlicerSynthReg.methods.mfm.solution import Solution, calls
from SlicerSynthReg.methods.mfm.translate import TranslateConfig, body_box, translate
from SlicerSynthReg.methods.mfm.upsampling import coarser, finer, guided
from SlicerSynthReg.nets.time_resnet import TimeResNetConfig
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.volume import Volume

TINY = TimeResNetConfig(widths=(8,), down=(1,), time=8)


class Known(nn.Module):
    """v(x, t) by a formula of the middle slice; keeps the shapes it saw."""

    def __init__(self, formula) -> None:
        super().__init__()
        self.formula, self.anchor = formula, nn.Parameter(torch.zeros(1))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(x.shape))
        middle = x.shape[1] // 2
        return self.formula(x[:, middle : middle + 1], t.view(-1, 1, 1, 1))


def a_model(formula, neighbours: int = 1, way: str = "flow") -> ContrastModel:
    model = ContrastModel(ContrastConfig(way, TINY, neighbours))
    model.net = Known(formula)
    return model.eval()


@pytest.fixture
def a_body() -> Volume:
    """Stored with slices first, towards I, P and L; a block of 40 HU in air, one voxel of metal."""
    affine = np.array([[0, 0, -1.0, 9], [0, -1.0, 0, 8], [-4.0, 0, 0, 7], [0, 0, 0, 1]])
    hu = torch.full((6, 80, 90), -1000.0)
    hu[:, 20:60, 30:70] = 40.0
    hu[2, 30, 40] = 3000.0
    return Volume(hu[None], Grid((6, 80, 90), affine), name="ct")


def asked(to: str, solver: str = "heun", steps: int = 1, pixel_mm: float = 1.0, **more) -> TranslateConfig:
    return TranslateConfig(to, Solution(solver, steps), pixel_mm, **more)


def test_a_constant_field_shifts_the_body_by_its_hu_either_way_on_its_own_grid(a_body):
    model = a_model(lambda x, t: torch.full_like(x, 0.06))
    for to, shift in (("contrast", 60), ("native", -60)):
        found = translate(model, a_body, asked(to))
        assert found.image.grid is a_body.grid and found.image.name == f"synthetic {to}"
        change = found.image.data - a_body.data
        assert torch.allclose(change[0, :, 20:60, 30:70], torch.tensor(float(shift)), atol=1e-3)
        assert change[0, :, :8].abs().max() == 0 and change[0, 2, 30, 40] == pytest.approx(shift, abs=1e-3)
        assert float(found.cycle.data.max()) == pytest.approx(0, abs=1e-3) and found.evaluations == 2


def test_the_cycle_error_is_what_there_and_back_differ_by(a_body):
    """dx/dt = x by Euler's method: (1 + 1)(1 - 1) = 0, so nothing comes back: the error is |x| everywhere."""
    found = translate(a_model(lambda x, t: x), a_body, asked("contrast", "euler"))
    assert torch.allclose(found.cycle.data[0, :, 20:60, 30:70].median(), torch.tensor(40.0))
    assert translate(a_model(lambda x, t: x), a_body, asked("contrast", cycle=False)).cycle is None


def test_a_way_of_one_direction_has_no_cycle(a_body):
    found = translate(a_model(lambda x, t: x * 0 + 0.01, way="regression"), a_body, asked("native"))
    assert found.cycle is None and found.evaluations == 1


def test_the_network_sees_axial_slices_of_the_body_at_the_models_pixels(a_body):
    model = a_model(lambda x, t: x * 0)
    found = translate(model, a_body, asked("native", "euler", pixel_mm=2.0, batch=4, cycle=False))
    assert found.pixels == (32, 32)  # 40 and 40 of body, 12 mm of margin on either side: 64 mm
    assert model.net.shapes == [(4, 3, 32, 32), (2, 3, 32, 32)]
    model = a_model(lambda x, t: x * 0, neighbours=0)
    translate(model, a_body, asked("native", "euler", pixel_mm=0.5, cycle=False))
    assert model.net.shapes == [(6, 1, 64, 64)]  # finer pixels than the scan's are not made up


def test_progress_runs_to_one_in_the_calls_foretold(a_body):
    shares: list[float] = []
    translate(a_model(lambda x, t: x), a_body, asked("native", "rk3", 2, batch=4), shares.append)
    assert len(shares) == 2 * 6 * 2 and shares == sorted(shares) and shares[-1] == 1


def test_a_stop_between_batches_ends_it(a_body):
    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        translate(a_model(lambda x, t: x), a_body, asked("native", batch=1), stop)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "rk3", "rk4", "adams"])
def test_calls_are_foretold(solver, steps, a_body):
    found = translate(a_model(lambda x, t: x), a_body, asked("native", solver, steps, cycle=False))
    assert found.evaluations == calls(Solution(solver, steps), "flow")


def test_the_box_holds_the_body_and_a_margin(a_body):
    rows, columns = body_box(a_body.data[0], (2.0, 3.0))
    assert (rows, columns) == (slice(14, 66), slice(26, 74))
    assert body_box(torch.full((2, 5, 6), -1000.0), (1.0, 1.0)) == (slice(0, 5), slice(0, 6))


def a_vessel(size: int) -> torch.Tensor:
    """A disc of 0.3 in 0.03, (1, size, size), its edge as sharp as the pixels let it be (each pixel an area mean)."""
    fine = size * (512 // size)
    at = (torch.arange(fine) + 0.5) / fine - 0.5
    disc = ((at[:, None] ** 2 + at**2).sqrt() < 0.2).float() * 0.27 + 0.03
    return coarser(disc[None], (size, size))


def test_a_change_follows_the_edges_of_the_fine_image():
    """The iodine is the vessel itself: its change is -0.27 inside, 0 outside, on either grid."""
    coarse, fine = a_vessel(32), a_vessel(128)
    change, truth = -(coarse - 0.03), -(fine - 0.03)
    by_edges, linear = guided(change, coarse, fine), finer(change, (128, 128))
    error = [float((one - truth).abs().max()) for one in (by_edges, linear)]
    assert error[0] < 0.35 * error[1]
    assert float((by_edges - truth).abs().mean()) < 0.3 * float((linear - truth).abs().mean())


def test_a_change_that_the_image_does_not_show_is_carried_linearly(seeded):
    coarse, fine = torch.zeros(2, 16, 16), torch.zeros(2, 40, 48)
    change = torch.rand((2, 16, 16), generator=seeded(0))
    assert torch.allclose(guided(change, coarse, fine), finer(change, (40, 48)), atol=1e-6)


def test_noise_in_the_fine_image_is_not_taken_for_edges(seeded):
    fine = 0.05 + 0.01 * torch.randn((1, 64, 64), generator=seeded(0))
    coarse = coarser(fine, (32, 32))
    found = guided(torch.full_like(coarse, -0.2), coarse, fine)
    assert torch.allclose(found, torch.tensor(-0.2), atol=1e-5)


def test_slices_of_the_right_size_are_left_alone(seeded):
    x = torch.rand((2, 8, 9), generator=seeded(0))
    assert coarser(x, (8, 9)) is x and finer(x, (8, 9)) is x and guided(x, x, x) is x
    assert math.isclose(float(coarser(x, (4, 3)).mean()), float(x.mean()), rel_tol=1e-5)
