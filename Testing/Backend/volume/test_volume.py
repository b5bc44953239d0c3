from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.volume.volume import Volume, VolumeError


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (torch.zeros(17, 14, 11), "scalar", r"expected \(C, I, J, K\)"),
        (torch.zeros(1, 11, 14, 17), "scalar", r"Transpose \(K, J, I\)"),
        (torch.zeros(0, 17, 14, 11), "scalar", "at least one channel"),
        (torch.zeros(1, 17, 14, 11).int(), "scalar", r"Convert with data.float\(\)"),
        (torch.zeros(1, 17, 14, 11), "labels", r"Convert with data.int\(\)"),
        (torch.zeros(1, 17, 14, 11), "mask", "expected one of"),
    ],
)
def test_what_cannot_be_a_volume_is_refused_with_a_remedy(nasty, data, kind, message):
    with pytest.raises(VolumeError, match=message):
        Volume(data, nasty, kind)


def test_labels_are_resampled_without_inventing_values_and_scalars_are_interpolated(labels, scalar, other):
    moved = labels.resampled(other)
    assert moved.grid is other and moved.data.dtype == labels.data.dtype and moved.kind == "labels"
    assert set(moved.data.unique().tolist()) <= set(labels.data.unique().tolist()) | {0}
    assert not set(scalar.resampled(other).data.unique().tolist()) <= set(scalar.data.unique().tolist()) | {0}


def test_half_precision_is_interpolated_at_full_precision_of_position(scalar, other):
    half = Volume(scalar.data.bfloat16(), scalar.grid)
    exact = Volume(half.data.float(), scalar.grid).resampled(other).data
    moved = half.resampled(other).data
    assert moved.dtype == torch.bfloat16
    torch.testing.assert_close(moved, exact.bfloat16(), rtol=0, atol=0)
