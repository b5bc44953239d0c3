"""Adam on a velocity field, for every similarity measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.losses.similarity import nmi_loss
from SlicerSynthReg.registration.adam import AdamConfig, diffusion_energy_mm, optimise_velocity
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.similarity import (
    FeatureDifference,
    LocalCorrelation,
    MutualInformation,
    intensity_extractor,
    mind_extractor,
)
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.spatial.transform import exponential

QUICK = AdamConfig((2, 1), (15, 10), rate=0.2, diffusion=0.05)
SIMILARITIES = {
    "mse": FeatureDifference(((intensity_extractor, 1.0),)),
    "mind": FeatureDifference(((mind_extractor, 1.0),)),
    "ncc": LocalCorrelation(),
    "nmi": MutualInformation(bins=16),
}


@pytest.fixture
def shifted_pair(random_scene, scene_on, a_grid_of):
    """(fixed image, moving image in [0, 1], weight, grid, shift in mm): fixed(x) = moving(x + shift)."""
    grid = a_grid_of((24, 24, 16), (7.0, 7.5, 11.0))
    scene, back = random_scene(1, 120, 14.0), np.eye(4)
    shift = np.array([8.0, -6.0, 10.0])
    back[:3, 3] = -shift
    fixed, moving = scene_on(scene, grid), scene_on(scene, grid, back)
    low, high = fixed.values.min(), fixed.values.max()
    images = [((one.values[0] - low) / (high - low)).clamp(0, 1) for one in (fixed, moving)]
    return images[0], images[1], fixed.weight, grid, shift


@pytest.mark.parametrize("name", SIMILARITIES)
def test_every_similarity_recovers_the_shift(name, shifted_pair):
    fixed, moving, weight, grid, shift = shifted_pair
    if name == "nmi":
        moving = 1 - moving.sqrt()  # another contrast
    similarity = SIMILARITIES[name]
    f, m = (FeatureImage(similarity.channels(image), torch.ones_like(weight), grid) for image in (fixed, moving))
    v = optimise_velocity(f, m, similarity, None, QUICK)
    u = exponential(v[None])[0][:, weight > 0.9].mean(1).double().numpy()
    assert np.linalg.norm(grid.affine[:3, :3] @ u - shift) < 0.45 * np.linalg.norm(shift)


def test_exchanged_images_change_the_sign(shifted_pair):
    fixed, moving, weight, grid, _ = shifted_pair
    similarity, few = SIMILARITIES["mse"], AdamConfig((2,), (6,), rate=0.2)
    f, m = (FeatureImage(image[None], weight, grid) for image in (fixed, moving))
    there, back = optimise_velocity(f, m, similarity, None, few), optimise_velocity(m, f, similarity, None, few)
    assert float(there.abs().max()) > 0.1
    assert torch.allclose(there, -back, atol=1e-3)


def test_optimiser_runs_in_inference_mode_and_keeps_a_good_start(shifted_pair):
    fixed, moving, weight, grid, shift = shifted_pair
    turned = np.linalg.solve(grid.affine[:3, :3], shift)
    with torch.inference_mode():
        start = torch.from_numpy(turned).float().view(3, 1, 1, 1).expand(3, *grid.shape).clone()
        f, m = (FeatureImage(image[None] * 1.0, weight * 1.0, grid) for image in (fixed, moving))
        v = optimise_velocity(f, m, SIMILARITIES["mse"], start, AdamConfig((1,), (3,), rate=0.01))
    assert float((v - start)[:, weight > 0.9].abs().mean()) < 0.1


def test_diffusion_energy_of_a_linear_field_is_its_squared_gradient():
    spacing_mm = torch.tensor([2.0, 3.0, 5.0])
    i, j, k = torch.meshgrid(*(torch.arange(n).float() for n in (4, 5, 6)), indexing="ij")
    mm = torch.stack([0.1 * 2 * i, 0.2 * 5 * k, 0.3 * 3 * j])  # du0/dx0, du1/dx2, du2/dx1
    v = (mm / spacing_mm.view(3, 1, 1, 1))[None]
    assert diffusion_energy_mm(v, spacing_mm).item() == pytest.approx(0.01 + 0.04 + 0.09, rel=1e-5)


def test_similarity_ignores_voxels_without_weight():
    noise = torch.rand((3, 12, 12, 12), generator=torch.Generator().manual_seed(2))
    weight = torch.zeros(12, 12, 12)
    weight[3:9, 3:9, 3:9] = 1
    a, b, altered = noise[0], noise[1], torch.where(weight > 0, noise[1], noise[2])
    for similarity in (SIMILARITIES["mse"], SIMILARITIES["nmi"]):
        clean = similarity.loss(a[None], b[None], weight)
        assert torch.equal(clean, similarity.loss(a[None], altered[None], weight))


def test_mutual_information_uses_the_foreground():
    image = gaussian(torch.rand((1, 1, 12, 12, 12), generator=torch.Generator().manual_seed(3)), 1.0)
    other, weight = 1 - image, torch.ones(12, 12, 12)
    found = MutualInformation().loss(image[0], other[0], weight)
    assert torch.allclose(found, nmi_loss(image, other))


def test_feature_difference_is_the_weighted_sum_of_its_parts():
    image = torch.rand((8, 8, 8), generator=torch.Generator().manual_seed(4))
    both = FeatureDifference(((intensity_extractor, 1.0), (intensity_extractor, 0.1)))
    seen, weight = both.channels(image), torch.ones(8, 8, 8)
    assert seen.shape[0] == 2
    loss = both.loss(seen, torch.zeros_like(seen), weight)
    assert torch.allclose(loss, image.square().mean() * 1.01)


def test_velocity_lies_on_the_grid_of_the_last_level(shifted_pair):
    fixed, moving, weight, grid, _ = shifted_pair
    f, m = (FeatureImage(image[None], weight, Grid(grid.shape, grid.affine)) for image in (fixed, moving))
    v = optimise_velocity(f, m, SIMILARITIES["mse"], None, AdamConfig((4, 2), (1, 1)))
    assert tuple(v.shape) == (3, 12, 12, 8)
