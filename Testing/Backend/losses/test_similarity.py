from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.losses.similarity import local_ncc_loss, mean_squared_error, nmi_loss
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import sample_displaced
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis.mr_contrast import rescale_to_unit_range


@pytest.fixture
def smooth_image(seeded) -> torch.Tensor:
    """(1, 1, 20, 20, 20) in [0, 1]."""
    return rescale_to_unit_range(gaussian(torch.randn((1, 1, 20, 20, 20), generator=seeded(0)), 1.5))


@pytest.fixture
def shuffled_image(smooth_image, seeded) -> torch.Tensor:
    order = torch.randperm(smooth_image.numel(), generator=seeded(1))
    return smooth_image.flatten()[order].view_as(smooth_image)


def test_mean_squares_by_hand():
    a, b = torch.tensor([0.0, 1, 2]).view(1, 1, 3, 1, 1), torch.tensor([0.0, 3, 1]).view(1, 1, 3, 1, 1)
    assert float(mean_squared_error(a, b)) == pytest.approx(5 / 3)


def test_local_ncc_is_invariant_to_gain_offset_and_sign(smooth_image, shuffled_image):
    equal = float(local_ncc_loss(smooth_image, smooth_image, 2))
    assert equal < 0.05
    for changed in (2 * smooth_image + 0.7, -2 * smooth_image + 3):
        assert float(local_ncc_loss(smooth_image, changed, 2)) == pytest.approx(equal, abs=0.05)
    assert float(local_ncc_loss(smooth_image, shuffled_image, 2)) > 0.9


def test_constant_windows_have_a_finite_gradient(smooth_image):
    flat = torch.full_like(smooth_image, 0.3)
    flat.requires_grad_()
    loss = local_ncc_loss(smooth_image, flat)
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=0.01) and torch.isfinite(flat.grad).all()


def test_local_ncc_adapts_to_a_spatially_varying_relation(smooth_image):
    """Half the image inverted: a global correlation falls to nothing, but few windows cross the border."""
    inverted = smooth_image.clone()
    inverted[:, :, 10:] = 1 - inverted[:, :, 10:]
    together = torch.corrcoef(torch.stack([smooth_image.flatten(), inverted.flatten()]))[0, 1]
    assert together**2 < 0.1
    assert float(local_ncc_loss(smooth_image, inverted, 1)) < 0.15


def test_local_ncc_by_hand_in_one_window():
    line_a, line_b = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 3.0, 3.0])
    a, b = (line.view(1, 1, 3, 1, 1).expand(1, 1, 3, 3, 3) for line in (line_a, line_b))
    centred_a, centred_b = line_a - line_a.mean(), line_b - line_b.mean()
    centre = float((centred_a @ centred_b) ** 2 / ((centred_a @ centred_a) * (centred_b @ centred_b)))
    # the windows at the two faces repeat the edge: (0, 0, 1) with (0, 0, 3), and (1, 2, 2) with (3, 3, 3)
    assert float(local_ncc_loss(a, b, 1)) == pytest.approx(1 - (centre + 1 + 0) / 3, abs=1e-3)


def test_nmi_is_equal_for_all_one_to_one_relations(smooth_image, shuffled_image):
    """The windows overlap, so equality costs more than 0; the relations that a mean square punishes add nothing."""
    equal = float(nmi_loss(smooth_image, smooth_image))
    assert equal < 0.5
    for changed in (smooth_image**2, 1 - smooth_image, (1 - smooth_image) ** 0.7):
        assert float(nmi_loss(smooth_image, rescale_to_unit_range(changed))) == pytest.approx(equal, abs=0.04)
    assert float(nmi_loss(smooth_image, shuffled_image)) > equal + 0.4


def test_nmi_is_invariant_to_a_permutation_of_intensities():
    """One-to-one but not monotone: a correlation of any kind would call them unlike."""
    steps = torch.tensor([0, 10, 20, 31]).repeat(64).view(1, 1, 16, 4, 4) / 31
    exchanged = torch.tensor([20, 0, 31, 10]).repeat(64).view(1, 1, 16, 4, 4) / 31
    equal = float(nmi_loss(steps, steps))
    assert equal < 0.35 and float(nmi_loss(steps, exchanged)) == pytest.approx(equal, abs=0.05)


def test_nmi_is_one_for_independent_noise(seeded):
    a, b = (torch.rand((1, 1, 32, 32, 32), generator=seeded(n)) for n in (0, 1))
    assert float(nmi_loss(a, b)) == pytest.approx(1, abs=0.03)


def test_nmi_of_a_batch_is_the_mean_over_its_elements(smooth_image, shuffled_image):
    a = torch.cat([smooth_image] * 2)
    b = torch.cat([smooth_image, shuffled_image])
    alone = [float(nmi_loss(smooth_image, other)) for other in (smooth_image, shuffled_image)]
    assert alone[0] < 0.5 < 0.8 < alone[1]
    assert float(nmi_loss(a, b)) == pytest.approx(sum(alone) / 2, abs=1e-5)


@pytest.mark.parametrize("loss", [local_ncc_loss, nmi_loss, mean_squared_error])
def test_the_gradient_of_each_similarity_reduces_a_shift(loss, seeded):
    """Stepping against the gradient of a translation lowers the loss: the sign is right."""
    image = rescale_to_unit_range(gaussian(torch.randn((1, 1, 16, 16, 16), generator=seeded(3)), 2.0))
    lattice = index_lattice((16, 16, 16))
    shifted = sample_displaced(image, torch.tensor([0.8, 0, 0]).view(1, 3, 1, 1, 1).expand(1, 3, 16, 16, 16), lattice)
    u = torch.zeros(1, 3, 1, 1, 1, requires_grad=True)
    loss(image, sample_displaced(shifted, u.expand(1, 3, 16, 16, 16), lattice)).backward()
    pull = -u.grad.flatten()
    assert pull[0] < 0 and pull[0].abs() > 2 * pull[1:].abs().max()
