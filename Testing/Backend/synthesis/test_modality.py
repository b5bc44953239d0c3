from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.synthesis.modality import (
    MODALITIES,
    ModalityConfig,
    acquired_image,
    draw_modality,
    healthy_means,
    healthy_t1,
    ideal_image,
    modality_tables,
    partial_volume_mean,
    shared_texture,
)

VALUES = (0, 2, 3, 4, 25, 77, 511, 515)
"""Air, white matter, cortex, ventricle, lesion, white-matter hypointensity, skin, bone."""
LOOKS = modality_tables(VALUES, tuple(range(len(VALUES))))


def drawn(name: str, seed: int = 0):
    return draw_modality(name, LOOKS, ModalityConfig(), torch.Generator().manual_seed(seed))


def blocks(*of: int) -> torch.Tensor:
    """(1, 2 n, 16, 16): a slab of 2 voxels for each label value."""
    labels = torch.tensor([VALUES.index(value) for value in of], dtype=torch.uint8)
    return labels.repeat_interleave(2).view(1, -1, 1, 1).expand(1, -1, 16, 16).contiguous()


def test_a_boundary_voxel_has_the_mean_of_its_labels():
    labels = torch.tensor([[0, 1], [1, 1]], dtype=torch.uint8).view(1, 2, 2, 1).expand(1, 2, 2, 2)
    assert float(partial_volume_mean(labels, torch.tensor([[8.0, 4.0]]))) == 5.0


@pytest.mark.parametrize(("name", "order"), [("T1", (4, 3, 2)), ("T2", (2, 3, 4)), ("CT", (4, 2, 3))])
def test_each_sequence_has_its_order_of_tissue_intensities(name, order):
    """Darkest first: ventricle (4), cortex (3), white matter (2)."""
    for seed in range(5):
        record = drawn(name, seed)
        image = ideal_image(blocks(2, 3, 4), torch.zeros(1, 1, 3, 8, 8), [record])[0, 0].mean((1, 2))
        level = dict(zip((2, 3, 4), image.tolist()))
        assert level[order[0]] < level[order[-1]]
        if name != "CT":  # grey and white matter are closer in CT than its jitter
            assert level[order[0]] < level[order[1]] < level[order[2]]


def test_ct_is_within_its_window_and_noise_bounds():
    record = drawn("CT")
    image = acquired_image(ideal_image(blocks(0, 2, 511, 515), torch.zeros(1, 1, 4, 8, 8), [record]), [record])[0, 0]
    assert float(image[0].mean()) < 0.05 and float(image[3].mean()) > 0.85  # air below, bone above the window
    assert len({record.contrast.sds[n] for n in range(len(VALUES))}) == 1
    assert 2.0 <= record.contrast.sds[0] * 80 / 255 <= ModalityConfig().ct_noise_hu


def test_healthy_intensities_of_lesions_are_white_matter_and_zero_outside_the_brain():
    means = dict(zip(VALUES, healthy_means(VALUES)))
    assert means[25] == means[77] == means[2] == pytest.approx(0.8)
    assert means[0] == means[511] == means[515] == 0
    assert 0 < means[4] < means[3] < means[2]


def test_target_and_scan_share_a_texture_of_signed_strength():
    texture = shared_texture([3], (2, 32, 32))
    labels = blocks(2, 2)[:, :, :1, :1].expand(1, 4, 64, 64)
    target = healthy_t1(labels, texture, healthy_means(VALUES))
    for name, sign in (("T1", 1), ("T2", -1)):
        record = drawn(name)
        plain, textured = (ideal_image(labels, t, [record]) for t in (texture * 0, texture))
        both = torch.stack([(textured - plain).flatten(), (target - 0.8).flatten()])
        assert float(torch.corrcoef(both)[0, 1]) * sign > 0.99
    assert float(texture.std()) == pytest.approx(1.0, abs=0.35)


def test_every_modality_spans_the_scale_without_nan():
    texture = shared_texture([1], (4, 8, 8))
    for name in MODALITIES:
        record = drawn(name, 2)
        image = acquired_image(ideal_image(blocks(0, 2, 3, 511), texture, [record]), [record])
        assert torch.isfinite(image).all() and float(image.min()) >= 0 and float(image.max()) == 1
