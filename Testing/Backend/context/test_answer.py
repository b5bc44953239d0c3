from __future__ import annotations

import torch

from SlicerSynthReg.methods.neuralizer.examples import answer_volume
from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example
from SlicerSynthReg.tasks.context_answer import ALONE, answered, judged
from SlicerSynthReg.volume.brightness import brightness_of

ASKED = AskConfig(size=1)


def seen(count: int) -> list[Example]:
    """A bright cube, somewhere else in each: what is bright is meant, and no place is."""
    found = []
    for n in range(count):
        y = torch.zeros(1, 14, 14, 8)
        y[:, 2 + n : 7 + n, 6 - n : 11 - n, 2:6] = 1
        noise = 0.05 * torch.rand(y.shape, generator=torch.Generator().manual_seed(n))
        found.append(Example(0.2 + 0.6 * y + noise, y))
    return found


def placed(count: int) -> list[Example]:
    """Noise in every image, and an answer that varies from voxel to voxel and is the same in all."""
    y = torch.rand(1, 14, 14, 8, generator=torch.Generator().manual_seed(99))
    return [Example(torch.rand(y.shape, generator=torch.Generator().manual_seed(n)), y) for n in range(count)]


def test_the_examples_choose_patches_where_looks_tell(an_averaging_network):
    told = judged(an_averaging_network, seen(4), ASKED, "auto", True, 4)
    assert told.share >= 0.75 and len(told.agreement) == 4 and min(told.agreement) > 0.9


def test_the_examples_choose_the_network_where_it_alone_is_right(an_averaging_network):
    assert judged(an_averaging_network, placed(4), ASKED, "auto", False, 4).share == 0


def test_a_single_example_and_a_fixed_way_are_not_tried(an_averaging_network):
    assert judged(an_averaging_network, seen(1), ASKED, "auto", True, 4).share == ALONE
    assert judged(an_averaging_network, seen(1), ASKED, "network", True, 4).share == 0
    told = judged(an_averaging_network, seen(3), ASKED, "patches", True, 2)
    assert told.share == 1 and len(told.agreement) == 2


def test_a_mixture_lies_between_its_parts(an_averaging_network):
    target, *known = seen(4)
    network, half, patches = (
        answered(an_averaging_network, target.x, known, ASKED, share, True) for share in (0.0, 0.5, 1.0)
    )
    assert torch.allclose(half, (network + patches) / 2, atol=1e-5)
    assert torch.equal(network, answer_volume(an_averaging_network, target.x, known, ASKED))
    assert float((patches - target.y).abs().max()) < 0.2


def a_tomography(seed: int) -> torch.Tensor:
    """HU: air, a little fat, much soft tissue, a tooth of metal."""
    generator = torch.Generator().manual_seed(seed)
    hounsfield = torch.full((20, 20, 20), -1000.0)
    hounsfield[4:16, 4:16] = 40 + 15 * torch.randn(12, 12, 20, generator=generator)
    hounsfield[4:6, 4:16] = -100
    hounsfield[10:13, 10:13, 8:14] = 3000.0
    return hounsfield


def test_tissue_that_metal_would_crowd_together_is_spread_by_one_table():
    known = [a_tomography(n) for n in range(3)]
    brightness = brightness_of(known)
    assert brightness.knots is not None
    fat, soft, organ = brightness.of(torch.tensor([-100.0, 30.0, 50.0])).tolist()
    assert organ - soft > 0.3 and fat < soft and float(brightness.of(torch.tensor([-1000.0]))) == 0


def test_values_that_mean_nothing_from_scan_to_scan_keep_each_scans_scale():
    known = [a_tomography(0), 7 * (a_tomography(1) + 5000)]
    assert brightness_of(known).knots is None
    spread = torch.rand(20, 20, 20, generator=torch.Generator().manual_seed(0))
    assert brightness_of([spread, 100 * spread]).knots is None
