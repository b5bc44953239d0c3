from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.spatial.smoothing import box_mean, gaussian


def spread(image: torch.Tensor, axis: int) -> float:
    """SD in voxels of a positive image's mass along `axis`."""
    line = image.sum(dim=[a for a in range(3) if a != axis])
    n = torch.arange(len(line), dtype=line.dtype)
    mean = (line * n).sum() / line.sum()
    return float(((line * (n - mean) ** 2).sum() / line.sum()).sqrt())


def test_each_element_and_axis_has_its_own_width():
    impulse = torch.zeros(2, 1, 25, 25, 25)
    impulse[:, :, 12, 12, 12] = 1
    found = gaussian(impulse, torch.tensor([[2.0, 1.0, 0.0], [0.5, 0.0, 2.0]]))
    assert [spread(found[0, 0], axis) for axis in range(3)] == pytest.approx([2.0, 1.0, 0.0], rel=0.03, abs=1e-3)
    assert spread(found[1, 0], 2) == pytest.approx(2.0, rel=0.03) and spread(found[1, 0], 1) < 1e-3
    assert found.sum(dim=(1, 2, 3, 4)).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_a_constant_stays_also_at_the_faces():
    constant = torch.full((1, 2, 5, 6, 7), 3.0)
    assert torch.allclose(gaussian(constant, 1.7), constant)  # zeros beyond the faces would darken them
    assert torch.allclose(box_mean(constant, 2), constant)


def test_two_gaussians_are_one_of_the_summed_variances():
    image = torch.zeros(1, 1, 41, 1, 1)
    image[0, 0, 20] = 1
    twice, once = gaussian(gaussian(image, 3.0), 4.0), gaussian(image, 5.0)
    assert (twice - once).abs().max() < 0.03 * once.max()
    assert (twice - gaussian(image, 7.0)).abs().max() > 0.25 * once.max()  # widths do not add, variances do


def test_no_width_is_no_change():
    image = torch.rand(1, 1, 3, 3, 3)
    assert torch.equal(gaussian(image, 0.0), image)


def test_box_mean_counts_the_whole_neighbourhood():
    image = torch.zeros(1, 1, 5, 5, 5)
    image[0, 0, 2, 2, 2] = 27
    found = box_mean(image, 1)[0, 0]
    assert torch.allclose(found[1:4, 1:4, 1:4], torch.ones(3, 3, 3))
    assert found[0].abs().max() == 0
