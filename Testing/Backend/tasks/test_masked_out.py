"""What a mask leaves out: neither it nor its edge is seen by anything that is compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.methods.synthmorph.model import SynthMorph, SynthMorphConfig
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks import alignment
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.tasks.prepare import Scan, local_contrast, standardised
from SlicerSynthReg.volume.volume import Volume, VolumeError

HOLE = (slice(None), slice(14, 24), slice(18, 28), slice(16, 26))


@pytest.fixture
def head() -> Volume:
    """A textured egg, in scanner units."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = [-72, -78, -66]
    shape = (49, 53, 45)
    x, y, z = (torch.linspace(-1.35, 1.35, n) for n in shape)
    radius = (x[:, None, None] ** 2 + y[:, None] ** 2 + z**2).sqrt()
    texture = torch.randn(1, 1, 13, 14, 12, generator=torch.Generator().manual_seed(0))
    texture = torch.nn.functional.interpolate(texture, shape, mode="trilinear")[0, 0]
    return Volume(((100 + 15 * texture) * torch.sigmoid((1 - radius) * 30))[None], Grid(shape, affine))


@pytest.fixture
def with_a_blob(head) -> Volume:
    data = head.data.clone()
    data[HOLE] = 900.0
    return Volume(data, head.grid)


@pytest.fixture
def without_the_hole(head) -> Volume:
    data = torch.ones_like(head.data, dtype=torch.uint8)
    data[HOLE] = 0
    return Volume(data, head.grid, "labels")


def test_it_changes_no_feature_anywhere(head, with_a_blob, without_the_hole):
    clean, masked = (standardised(one, without_the_hole, 3.0) for one in (head, with_a_blob))
    masked_image = masked.on(clean.grid).image
    for feature in (lambda image: local_contrast(image), lambda image: mind_ssc(image[None, None])[0]):
        assert float((feature(clean.image) - feature(masked_image)).abs().max()) < 1e-3
    bare = standardised(with_a_blob, None, 3.0).on(clean.grid).image
    assert float((local_contrast(clean.image) - local_contrast(bare)).abs().max()) > 1, "as it would otherwise"


def test_it_does_not_count(with_a_blob, without_the_hole):
    scan = standardised(with_a_blob, without_the_hole, 3.0)
    at = scan.grid.world_to_index(with_a_blob.grid.index_to_world(np.array([[19.0, 23.0, 21.0]])))
    assert scan.mask is not None and not scan.mask[tuple(np.rint(at[0]).astype(int))]


def test_what_lies_about_a_brain_s_mask_is_left_as_it_is(head):
    radius = torch.stack(torch.meshgrid(*(torch.linspace(-1.35, 1.35, n) for n in head.grid.shape), indexing="ij"))
    mask = Volume((radius.square().sum(0) < 0.5)[None].to(torch.uint8), head.grid, "labels")
    assert torch.equal(standardised(head, mask, 3.0).image, standardised(head, None, 3.0).image)


def test_a_blob_that_is_masked_out_moves_no_more_than_its_absence(head, with_a_blob, without_the_hole):
    """What the fixed scan shows there has no counterpart: that moves little, and the blob itself nothing."""
    at = head.grid.index_to_world(np.argwhere(head.data[0].numpy() > 60)[::20])

    def moved(scan: Volume) -> np.ndarray:
        found = align(None, 3.0, head, scan, AlignmentConfig(), moving_mask=without_the_hole).transform
        return found.map_points(at)

    masked = moved(with_a_blob)
    assert float(np.linalg.norm(masked - moved(head), axis=1).max()) < 0.05
    assert float(np.linalg.norm(masked - at, axis=1).mean()) < 1.0, "3.0 mm when the hole was seen as structure"


@pytest.mark.parametrize(("half", "told"), [("lower", "leaves nothing of the fixed brain"), ("upper", "")])
def test_a_mask_beside_the_brain_leaves_nothing_of_it(head, monkeypatch, half, told):
    """The network sees the brain in the upper half of the head."""

    def upper(seen: Scan, grid: Grid) -> torch.Tensor:
        above = torch.zeros(grid.shape)
        above[:, :, grid.shape[2] // 2 + 2 :] = 1
        return above

    monkeypatch.setattr(alignment, "look", lambda model, scan, config: scan)
    monkeypatch.setattr(alignment, "anatomy", upper)
    marked = torch.zeros_like(head.data, dtype=torch.uint8)
    marked[..., 4:18] = half == "lower"
    marked[..., 26:40] = half == "upper"
    model = SynthMorph(SynthMorphConfig(labels=("brain",)))
    scans = standardised(head, Volume(marked, head.grid, "labels"), 3.0), standardised(head, None, 3.0)
    if not told:
        heads, _stripped, _unknown = alignment._heads(model, scans, AlignmentConfig())
        assert float(heads[0].mask.sum()) > 1000
        return
    with pytest.raises(VolumeError, match=told):
        alignment._heads(model, scans, AlignmentConfig())
