"""Excluded regions: neither they nor their edges influence the comparison."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.registration import brain_pipeline
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, register_brains
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.preprocessing import PreprocessedImage, local_contrast, normalise_and_resample
from SlicerSynthReg.registration.synthmorph import SynthMorph, SynthMorphConfig
from SlicerSynthReg.spatial.grid import Grid

HOLE = (slice(None), slice(14, 24), slice(18, 28), slice(16, 26))


@pytest.fixture
def head() -> Image:
    """A textured ellipsoid, in scanner units."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-72, -78, -66]
    shape = (49, 53, 45)
    x, y, z = (torch.linspace(-1.35, 1.35, n) for n in shape)
    radius = (x[:, None, None] ** 2 + y[:, None] ** 2 + z**2).sqrt()
    texture = torch.randn(1, 1, 13, 14, 12, generator=torch.Generator().manual_seed(0))
    texture = torch.nn.functional.interpolate(texture, shape, mode="trilinear")[0, 0]
    return Image(((100 + 15 * texture) * torch.sigmoid((1 - radius) * 30))[None], Grid(shape, affine))


@pytest.fixture
def head_with_blob(head) -> Image:
    data = head.data.clone()
    data[HOLE] = 900.0
    return Image(data, head.grid)


@pytest.fixture
def mask_without_hole(head) -> Image:
    data = torch.ones_like(head.data, dtype=torch.uint8)
    data[HOLE] = 0
    return Image(data, head.grid, "labels")


def test_excluded_region_changes_no_feature(head, head_with_blob, mask_without_hole):
    clean, masked = (normalise_and_resample(one, mask_without_hole, 3.0) for one in (head, head_with_blob))
    masked_image = masked.on(clean.grid).image
    for feature in (lambda image: local_contrast(image), lambda image: mind_ssc(image[None, None])[0]):
        assert float((feature(clean.image) - feature(masked_image)).abs().max()) < 1e-3
    unmasked = normalise_and_resample(head_with_blob, None, 3.0).on(clean.grid).image
    assert float((local_contrast(clean.image) - local_contrast(unmasked)).abs().max()) > 1, "without the mask"


def test_excluded_region_has_no_weight(head_with_blob, mask_without_hole):
    scan = normalise_and_resample(head_with_blob, mask_without_hole, 3.0)
    at = scan.grid.world_to_index(head_with_blob.grid.index_to_world(np.array([[19.0, 23.0, 21.0]])))
    assert scan.mask is not None and not scan.mask[tuple(np.rint(at[0]).astype(int))]


def test_outside_of_a_mask_is_not_inpainted(head):
    radius = torch.stack(torch.meshgrid(*(torch.linspace(-1.35, 1.35, n) for n in head.grid.shape), indexing="ij"))
    mask = Image((radius.square().sum(0) < 0.5)[None].to(torch.uint8), head.grid, "labels")
    assert torch.equal(normalise_and_resample(head, mask, 3.0).image, normalise_and_resample(head, None, 3.0).image)


def test_excluded_blob_does_not_change_the_transform(head, head_with_blob, mask_without_hole):
    """The fixed tissue there has no counterpart and is displaced little; the blob has no effect."""
    at = head.grid.index_to_world(np.argwhere(head.data[0].numpy() > 60)[::20])

    def moved(image: Image) -> np.ndarray:
        inputs = RegistrationInputs(head, image, moving_mask=mask_without_hole)
        return register_brains(inputs, BrainPipelineConfig(spacing_mm=3.0)).transform.map_points(at)

    masked = moved(head_with_blob)
    assert float(np.linalg.norm(masked - moved(head), axis=1).max()) < 0.05
    assert float(np.linalg.norm(masked - at, axis=1).mean()) < 1.0, "3.0 mm if the edge of the hole is a feature"


@pytest.mark.parametrize("half", ["lower", "upper"])
def test_mask_that_excludes_the_brain_is_refused(head, monkeypatch, half):
    """The network segments the brain in the upper half of the head."""

    def upper(image: PreprocessedImage, grid: Grid) -> torch.Tensor:
        above = torch.zeros(grid.shape)
        above[:, :, grid.shape[2] // 2 + 2 :] = 1
        return above

    monkeypatch.setattr(brain_pipeline, "network_features", lambda model, image, device: image)
    monkeypatch.setattr(brain_pipeline, "brain_mask", upper)
    marked = torch.zeros_like(head.data, dtype=torch.uint8)
    marked[..., 4:18] = half == "lower"
    marked[..., 26:40] = half == "upper"
    model = SynthMorph(SynthMorphConfig(labels=("brain",)))
    masks = Image(marked, head.grid, "labels"), None
    images = tuple(normalise_and_resample(head, mask, 3.0) for mask in masks)
    if half == "upper":
        brains = brain_pipeline._apply_brain_masks(model, images, BrainPipelineConfig())
        assert float(brains.images[0].mask.sum()) > 1000
        return
    with pytest.raises(ImageError, match="fixed") as refused:
        brain_pipeline._apply_brain_masks(model, images, BrainPipelineConfig())
    assert refused.value.code == "mask-outside"
