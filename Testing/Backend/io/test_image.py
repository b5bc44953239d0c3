from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.io.image import Image
from Testing.Backend.refusals import refused


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (torch.zeros(17, 14, 11), "scalar", "image-dimensions"),
        (torch.zeros(1, 11, 14, 17), "scalar", "grid-mismatch"),
        (torch.zeros(0, 17, 14, 11), "scalar", "image-dimensions"),
        (torch.zeros(1, 17, 14, 11).int(), "scalar", "image-type"),
        (torch.zeros(1, 17, 14, 11), "labels", "image-type"),
        (torch.zeros(1, 17, 14, 11), "mask", "image-kind"),
    ],
)
def test_what_cannot_be_an_image_is_refused(nasty, data, kind, code):
    with refused(code):
        Image(data, nasty, kind)


def test_labels_are_resampled_without_inventing_values_and_scalars_are_interpolated(labels, scalar, other):
    moved = labels.resampled(other)
    assert moved.grid is other and moved.data.dtype == labels.data.dtype and moved.kind == "labels"
    assert set(moved.data.unique().tolist()) <= set(labels.data.unique().tolist()) | {0}
    assert not set(scalar.resampled(other).data.unique().tolist()) <= set(scalar.data.unique().tolist()) | {0}


def test_half_precision_is_interpolated_at_full_precision_of_position(scalar, other):
    half = Image(scalar.data.bfloat16(), scalar.grid)
    exact = Image(half.data.float(), scalar.grid).resampled(other).data
    moved = half.resampled(other).data
    assert moved.dtype == torch.bfloat16
    torch.testing.assert_close(moved, exact.bfloat16(), rtol=0, atol=0)
