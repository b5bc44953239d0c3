from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.synth.modality import (
    MODALITIES,
    ModalityConfig,
    as_scanned,
    common_texture,
    draw_modality,
    healthy_means,
    healthy_t1,
    looks_of,
    mixed,
    unscanned,
)

VALUES = (0, 2, 3, 4, 25, 77, 511, 515)
"""Air, white matter, cortex, ventricle, lesion, white-matter hypointensity, skin, bone."""
LOOKS = looks_of(VALUES, tuple(range(len(VALUES))))


def drawn(name: str, seed: int = 0):
    return draw_modality(name, LOOKS, ModalityConfig(), torch.Generator().manual_seed(seed))


def blocks(*of: int) -> torch.Tensor:
    """(1, 2 n, 16, 16): a slab of 2 voxels for each label value."""
    labels = torch.tensor([VALUES.index(value) for value in of], dtype=torch.uint8)
    return labels.repeat_interleave(2).view(1, -1, 1, 1).expand(1, -1, 16, 16).contiguous()


def test_a_voxel_on_a_boundary_is_the_mean_of_what_lies_in_it():
    labels = torch.tensor([[0, 1], [1, 1]], dtype=torch.uint8).view(1, 2, 2, 1).expand(1, 2, 2, 2)
    assert float(mixed(labels, torch.tensor([[8.0, 4.0]]))) == 5.0


@pytest.mark.parametrize(("name", "order"), [("T1", (4, 3, 2)), ("T2", (2, 3, 4)), ("CT", (4, 2, 3))])
def test_each_sequence_has_its_order_of_tissues(name, order):
    """Darkest first: ventricle (4), cortex (3), white matter (2)."""
    for seed in range(5):
        record = drawn(name, seed)
        image = unscanned(blocks(2, 3, 4), torch.zeros(1, 1, 3, 8, 8), [record])[0, 0].mean((1, 2))
        level = dict(zip((2, 3, 4), image.tolist()))
        assert level[order[0]] < level[order[-1]]
        if name != "CT":  # grey and white matter are closer in CT than its jitter
            assert level[order[0]] < level[order[1]] < level[order[2]]


def test_a_ct_keeps_to_its_window_and_its_noise():
    record = drawn("CT")
    image = as_scanned(unscanned(blocks(0, 2, 511, 515), torch.zeros(1, 1, 4, 8, 8), [record]), [record])[0, 0]
    assert float(image[0].mean()) < 0.05 and float(image[3].mean()) > 0.85  # air below, bone above the window
    assert len({record.contrast.sds[n] for n in range(len(VALUES))}) == 1
    assert 2.0 <= record.contrast.sds[0] * 80 / 255 <= ModalityConfig().ct_noise_hu


def test_in_health_lesions_are_white_matter_and_there_is_nothing_outside_the_brain():
    means = dict(zip(VALUES, healthy_means(VALUES)))
    assert means[25] == means[77] == means[2] == pytest.approx(0.8)
    assert means[0] == means[511] == means[515] == 0
    assert 0 < means[4] < means[3] < means[2]


def test_the_texture_is_common_to_target_and_scan_with_the_scan_s_own_sign():
    texture = common_texture([3], (2, 32, 32))
    labels = blocks(2, 2)[:, :, :1, :1].expand(1, 4, 64, 64)
    target = healthy_t1(labels, texture, healthy_means(VALUES))
    for name, sign in (("T1", 1), ("T2", -1)):
        record = drawn(name)
        plain, textured = (unscanned(labels, t, [record]) for t in (texture * 0, texture))
        both = torch.stack([(textured - plain).flatten(), (target - 0.8).flatten()])
        assert float(torch.corrcoef(both)[0, 1]) * sign > 0.99
    assert float(texture.std()) == pytest.approx(1.0, abs=0.35)


def test_any_modality_fills_the_scale_and_has_no_nan():
    texture = common_texture([1], (4, 8, 8))
    for name in MODALITIES:
        record = drawn(name, 2)
        image = as_scanned(unscanned(blocks(0, 2, 3, 511), texture, [record]), [record])
        assert torch.isfinite(image).all() and float(image.min()) >= 0 and float(image.max()) == 1
