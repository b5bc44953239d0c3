"""What the scanner adds, against the spectrum it acts on."""

from __future__ import annotations

import json
import math

import pytest
import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.scanner import (
    ScannerConfig,
    ScannerDraw,
    add_texture,
    draw_scanner,
    gibbs_ringing,
    plane_wave,
    simulate_scanner,
)

NOTHING = ScannerDraw(0.0, 4, 0, (0.0, 0.0, 0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0)


@pytest.fixture
def image(seeded) -> torch.Tensor:
    image = torch.rand((1, 1, 16, 18, 20), generator=seeded(0))
    return (image - image.min()) / (image.max() - image.min())


def test_a_spike_is_one_point_of_k_space_and_its_mirror():
    spectrum = torch.fft.fftn(plane_wave((16, 18, 20), (3.0, -2.0, 5.0, 0.7))[0]).abs()
    bright = (spectrum > 1e-2 * spectrum.max()).nonzero().tolist()
    assert bright == [[3, 16, 5], [13, 2, 15]]


def test_ringing_removes_frequencies_beyond_the_cut_only():
    """Half of k-space's radius is cut: a slow wave stays as it is, one near the corner goes."""
    slow = plane_wave((16, 16, 16), (2.0, 1.0, 1.0, 0.3))
    fast = plane_wave((16, 16, 16), (7.0, 7.0, 7.0, 0.3))
    assert torch.allclose(gibbs_ringing(slow + fast, 0.5), slow, atol=1e-4)
    assert torch.allclose(gibbs_ringing(slow + fast, 0.0), slow + fast, atol=1e-4)


def test_ringing_overshoots_at_a_step():
    step = torch.zeros((1, 32, 32, 32))
    step[:, 16:] = 1
    assert gibbs_ringing(step, 0.7).max() > 1.05 and gibbs_ringing(step, 0.7).min() < -0.05


def test_amplitudes_of_zero_change_nothing(image):
    assert torch.allclose(simulate_scanner(image, [NOTHING]), image, atol=1e-6)
    assert torch.equal(add_texture(image, [NOTHING]), image)


def test_texture_multiplies_and_keeps_the_mean():
    tissue = torch.full((1, 1, 32, 32, 32), 100.0)
    tissue[..., 16:] = 0.0
    seen = add_texture(tissue, [ScannerDraw(0.1, 8, 5, NOTHING.spike, 0.0, 0.0, 0.0, 0)])
    assert float(seen[..., :16].mean()) == pytest.approx(100.0, abs=1.0) and float(seen[..., :16].std()) > 1.0
    assert seen[..., 16:].abs().max() == 0  # added, the noise would be seen in the air


def test_a_simulated_scan_is_in_the_unit_range(image):
    loud = ScannerDraw(0.1, 8, 5, (0.5, 2.0, 3.0, 4.0, 1.0), 0.4, 3.0, 0.3, 9)
    seen = simulate_scanner(image, [loud])
    assert float(seen.min()) == 0.0 and float(seen.max()) == pytest.approx(1.0)
    assert (seen - image).abs().mean() > 0.02


def test_each_element_has_its_own_draw_and_is_reproduced_by_it(image, seeded):
    generator = seeded(3)
    draws = [draw_scanner(ScannerConfig(), generator) for _ in range(3)]
    both = simulate_scanner(add_texture(image.expand(3, -1, -1, -1, -1), draws), draws)
    for n, one in enumerate(draws):
        read = draw.from_json(ScannerDraw, json.loads(json.dumps(draw.to_json(one))))
        assert read == one
        assert torch.equal(both[n : n + 1], simulate_scanner(add_texture(image, [read]), [read]))


def test_effects_occur_with_their_probabilities(seeded):
    generator = seeded(0)
    drawn = [draw_scanner(ScannerConfig(), generator) for _ in range(600)]
    assert sum(d.spike[0] > 0 for d in drawn) / 600 == pytest.approx(0.2, abs=0.06)
    assert sum(d.ringing > 0 for d in drawn) / 600 == pytest.approx(0.5, abs=0.07)
    assert sum(d.sharpen > 0 for d in drawn) / 600 == pytest.approx(0.25, abs=0.06)
    assert all(abs(d.spike[4]) <= 2 * math.pi for d in drawn)
