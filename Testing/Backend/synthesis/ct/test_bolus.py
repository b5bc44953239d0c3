"""Kinetics against their differential equation; grain and blur against Fourier's."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.synthesis.ct.acquisition import AcquisitionDraw, modulation_transfer, simulate_scan
from SlicerSynthReg.synthesis.ct.bolus import KINETICS, BolusConfig, BolusDraw, aorta_hu, draw_bolus, enhancement_hu

USUAL = BolusDraw(peak=280.0, arrival=12.0, rise=16.0, factors=(1.0,) * len(KINETICS))


def test_nothing_is_brighter_before_the_contrast_arrives():
    assert set(enhancement_hu(USUAL, 12.0).values()) == {0.0}
    assert enhancement_hu(USUAL, 16.0)["aorta"] > 20


def test_each_tissue_obeys_its_equation():
    """dC/dt = flow Ca(t - delay) - C / transit, by central differences of the result."""
    for time in (26.0, 41.0, 75.0):
        before, now, after = (enhancement_hu(USUAL, t) for t in (time - 1, time, time + 1))
        for tissue, uptake in KINETICS.items():
            change = (after[tissue] - before[tissue]) / 2
            fed = uptake.flow * float(aorta_hu(USUAL, np.array([time - uptake.delay]))[0])
            assert change == pytest.approx(fed - now[tissue] / uptake.transit, abs=0.02 * abs(fed) + 0.2), tissue


def test_phases_look_as_radiologists_know_them():
    arterial, portal = enhancement_hu(USUAL, 35.0), enhancement_hu(USUAL, 70.0)
    assert arterial["aorta"] > 250 and 80 < portal["aorta"] < 150
    assert arterial["renal cortex"] > 4 * arterial["renal medulla"]
    assert portal["renal cortex"] < 1.8 * portal["renal medulla"]
    assert arterial["liver"] < 20 and 40 < portal["liver"] < 70
    assert arterial["pancreas"] > portal["pancreas"]
    assert arterial["portal vein"] < 60 < portal["portal vein"] and arterial["hepatic vein"] < 10
    assert arterial["lower vena cava"] < 10 < arterial["upper vena cava"]


def test_people_differ_and_a_factor_scales_its_tissue_alone(seeded):
    one, other = (draw_bolus(BolusConfig(), seeded(n)) for n in (1, 2))
    assert enhancement_hu(one, 35.0)["aorta"] != enhancement_hu(other, 35.0)["aorta"]
    place = list(KINETICS).index("spleen")
    doubled = dataclasses.replace(USUAL, factors=tuple(2.0 if n == place else 1.0 for n in range(len(KINETICS))))
    usual, more = enhancement_hu(USUAL, 35.0), enhancement_hu(doubled, 35.0)
    assert more.pop("spleen") == pytest.approx(2 * usual.pop("spleen")) and more == usual


SOFT, SHARP = AcquisitionDraw(10.0, 0.0, 1.0, 1), AcquisitionDraw(10.0, 1.0, 1.0, 1)


def noise_of(one: AcquisitionDraw, seeded, depth_mm: float = 100.0, columns: int = 64) -> torch.Tensor:
    white = torch.randn((6, 64, columns), generator=seeded(3))
    flat = torch.full((64, columns, 6), 40.0)
    return simulate_scan(flat, (0.8, 0.8), torch.full_like(flat, depth_mm), one, white) - 40.0


@pytest.mark.parametrize("columns", [64, 63])
@pytest.mark.parametrize("one", [SOFT, SHARP])
def test_noise_has_its_sd_in_the_middle_of_the_body_and_less_at_the_skin(one, columns, seeded):
    assert float(noise_of(one, seeded, columns=columns).std()) == pytest.approx(10.0, rel=0.05)
    assert float(noise_of(one, seeded, 0.0, columns).std()) == pytest.approx(4.5, rel=0.05)


def test_a_soft_kernel_has_a_coarse_grain_and_a_sharp_one_a_fine_grain(seeded):
    alike = []
    for one in (SOFT, SHARP):
        noise = noise_of(one, seeded)
        alike.append(float((noise[1:] * noise[:-1]).mean() / noise.square().mean()))
    assert alike[0] > 0.3 and alike[1] < 0.15  # white noise would have 0 in both


def test_kernels_keep_the_mean_and_blur_by_their_gaussian():
    for sharpness in (0.0, 1.0):
        assert float(modulation_transfer(torch.zeros(1), sharpness)) == pytest.approx(1, abs=0.01)
    point = torch.zeros((65, 65, 1))
    point[32, 32] = 1000.0
    quiet = dataclasses.replace(SOFT, noise=0.0)
    spread = simulate_scan(point, (0.5, 0.5), torch.zeros_like(point), quiet, torch.zeros(1, 65, 65))[..., 0]
    x = (torch.arange(65) - 32) * 0.5
    assert float(spread.sum()) == pytest.approx(1000.0, rel=1e-4)
    variance = float((spread.sum(1) * x**2).sum() / spread.sum())
    assert math.sqrt(variance) == pytest.approx(0.9, rel=0.01)


def test_values_stay_in_what_scanners_store(seeded):
    hu = torch.full((32, 32, 2), 5000.0)
    hu[:16] = -1000.0
    loud = dataclasses.replace(SHARP, noise=80.0)
    image = simulate_scan(
        hu, (1.0, 1.0), torch.full_like(hu, 100.0), loud, torch.randn((2, 32, 32), generator=seeded(0))
    )
    assert float(image.min()) == -1024.0 and float(image.max()) == 3071.0
