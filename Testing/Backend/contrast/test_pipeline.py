from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from SlicerSynthReg.contrast.config import SolverConfig, nfe
from SlicerSynthReg.contrast.guided_upsampling import block_downsample, guided_upsample, upsample
from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.contrast.pipeline import ConversionConfig, body_bbox, convert
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.networks.time_resnet import TimeResNetConfig
from SlicerSynthReg.spatial.grid import Grid

TINY = TimeResNetConfig(widths=(8,), encoder_blocks=(1,), time_channels=8)


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


def a_model(formula, neighbours: int = 1, method: str = "flow") -> ContrastModel:
    model = ContrastModel(ContrastConfig(method, TINY, neighbours))
    model.net = Known(formula)
    return model.eval()


@pytest.fixture
def a_body() -> Image:
    """Stored with slices first, towards I, P and L; a block of 40 HU in air, one voxel of metal."""
    affine = np.array([[0, 0, -1.0, 9], [0, -1.0, 0, 8], [-4.0, 0, 0, 7], [0, 0, 0, 1]])
    hu = torch.full((6, 80, 90), -1000.0)
    hu[:, 20:60, 30:70] = 40.0
    hu[2, 30, 40] = 3000.0
    return Image(hu[None], Grid((6, 80, 90), affine), name="ct")


def config(target_phase: str, solver: str = "heun", steps: int = 1, pixel_mm: float = 1.0, **more) -> ConversionConfig:
    return ConversionConfig(target_phase, SolverConfig(solver, steps), pixel_mm, **more)


def test_a_constant_field_shifts_the_body_by_its_hu_either_way_on_its_own_grid(a_body):
    model = a_model(lambda x, t: torch.full_like(x, 0.06))
    for to, shift in (("arterial", 60), ("native", -60)):
        found = convert(model, a_body, config(to))
        assert found.image.grid is a_body.grid and found.image.name == f"synthetic {to}"
        change = found.image.data - a_body.data
        assert torch.allclose(change[0, :, 20:60, 30:70], torch.tensor(float(shift)), atol=1e-3)
        assert change[0, :, :8].abs().max() == 0 and change[0, 2, 30, 40] == pytest.approx(shift, abs=1e-3)
        assert float(found.cycle_error.data.max()) == pytest.approx(0, abs=1e-3) and found.nfe == 2


def test_the_cycle_error_is_the_difference_after_conversion_and_back_conversion(a_body):
    """dx/dt = x by Euler's method: (1 + 1)(1 - 1) = 0, so nothing comes back: the error is |x| everywhere."""
    found = convert(a_model(lambda x, t: x), a_body, config("arterial", "euler"))
    assert torch.allclose(found.cycle_error.data[0, :, 20:60, 30:70].median(), torch.tensor(40.0))
    assert convert(a_model(lambda x, t: x), a_body, config("arterial", cycle=False)).cycle_error is None


def test_a_method_of_one_direction_has_no_cycle_error(a_body):
    found = convert(a_model(lambda x, t: x * 0 + 0.01, method="regression"), a_body, config("native"))
    assert found.cycle_error is None and found.nfe == 1


def test_the_network_sees_axial_slices_of_the_body_at_the_models_pixels(a_body):
    model = a_model(lambda x, t: x * 0)
    found = convert(model, a_body, config("native", "euler", pixel_mm=2.0, batch=4, cycle=False))
    assert found.pixels == (32, 32)  # 40 and 40 of body, 12 mm of margin on either side: 64 mm
    assert model.net.shapes == [(4, 3, 32, 32), (2, 3, 32, 32)]
    model = a_model(lambda x, t: x * 0, neighbours=0)
    convert(model, a_body, config("native", "euler", pixel_mm=0.5, cycle=False))
    assert model.net.shapes == [(6, 1, 64, 64)]  # finer pixels than the scan's are not made up


def test_progress_reaches_one_after_the_expected_batches(a_body):
    shares: list[float] = []
    convert(a_model(lambda x, t: x), a_body, config("native", "rk3", 2, batch=4), shares.append)
    assert len(shares) == 2 * 6 * 2 and shares == sorted(shares) and shares[-1] == 1


def test_a_stop_between_batches_ends_it(a_body):
    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        convert(a_model(lambda x, t: x), a_body, config("native", batch=1), stop)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "rk3", "rk4", "adams"])
def test_nfe_is_predicted(solver, steps, a_body):
    found = convert(a_model(lambda x, t: x), a_body, config("native", solver, steps, cycle=False))
    assert found.nfe == nfe(SolverConfig(solver, steps), "flow")


def test_the_box_holds_the_body_and_a_margin(a_body):
    rows, columns = body_bbox(a_body.data[0], (2.0, 3.0))
    assert (rows, columns) == (slice(14, 66), slice(26, 74))
    assert body_bbox(torch.full((2, 5, 6), -1000.0), (1.0, 1.0)) == (slice(0, 5), slice(0, 6))


def a_vessel(size: int) -> torch.Tensor:
    """A disc of 0.3 in 0.03, (1, size, size), its edge as sharp as the pixels let it be (each pixel an area mean)."""
    fine = size * (512 // size)
    at = (torch.arange(fine) + 0.5) / fine - 0.5
    disc = ((at[:, None] ** 2 + at**2).sqrt() < 0.2).float() * 0.27 + 0.03
    return block_downsample(disc[None], (size, size))


def test_a_change_follows_the_edges_of_the_fine_image():
    """The iodine is the vessel itself: its change is -0.27 inside, 0 outside, on either grid."""
    coarse, fine = a_vessel(32), a_vessel(128)
    change, truth = -(coarse - 0.03), -(fine - 0.03)
    by_edges, linear = guided_upsample(change, coarse, fine), upsample(change, (128, 128))
    error = [float((one - truth).abs().max()) for one in (by_edges, linear)]
    assert error[0] < 0.35 * error[1]
    assert float((by_edges - truth).abs().mean()) < 0.3 * float((linear - truth).abs().mean())


def test_a_change_that_the_image_does_not_show_is_carried_linearly(seeded):
    coarse, fine = torch.zeros(2, 16, 16), torch.zeros(2, 40, 48)
    change = torch.rand((2, 16, 16), generator=seeded(0))
    assert torch.allclose(guided_upsample(change, coarse, fine), upsample(change, (40, 48)), atol=1e-6)


def test_noise_in_the_fine_image_is_not_taken_for_edges(seeded):
    fine = 0.05 + 0.01 * torch.randn((1, 64, 64), generator=seeded(0))
    coarse = block_downsample(fine, (32, 32))
    found = guided_upsample(torch.full_like(coarse, -0.2), coarse, fine)
    assert torch.allclose(found, torch.tensor(-0.2), atol=1e-5)


def test_slices_of_the_right_size_are_left_alone(seeded):
    x = torch.rand((2, 8, 9), generator=seeded(0))
    assert block_downsample(x, (8, 9)) is x and upsample(x, (8, 9)) is x and guided_upsample(x, x, x) is x
    assert math.isclose(float(block_downsample(x, (4, 3)).mean()), float(x.mean()), rel_tol=1e-5)
