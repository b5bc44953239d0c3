from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.train.labelmaps import LabelMaps, around, load_label_maps


def test_tissues_join_both_sides_and_scores_keep_them_apart(four_heads):
    index = four_heads.values.index
    groups, scored = four_heads.groups, four_heads.scored
    assert groups[index(17)] == groups[index(53)] != groups[index(18)]
    assert scored[index(17)] != scored[index(53)]
    assert scored[index(4)] == scored[index(5)] != scored[index(14)]
    assert [scored[index(value)] for value in (0, 24, 511)] == [None] * 3
    places = {n for n in scored if n is not None}
    assert places == set(range(29))  # without gaps: they number the planes of the overlap


def test_the_last_maps_are_held_out(four_heads):
    marked = LabelMaps(tuple(m.clone() for m in four_heads.maps), four_heads.values)
    for n, labels in enumerate(marked.maps):
        labels[30, 30, 30] = n + 1
    known, unseen = marked.people(held_out=1, margin=60)
    assert [int(m[30, 30, 30]) for m in known] == [1, 2, 3] and [int(m[30, 30, 30]) for m in unseen] == [4]
    known, unseen = marked.people(held_out=0, margin=60)
    assert len(known) == len(unseen) == 4


@pytest.mark.parametrize("held_out", [4, 5, -1])
def test_nothing_to_train_on_is_refused(four_heads, held_out):
    with pytest.raises(ValueError, match=f"Found 4 label maps and {held_out} held out"):
        four_heads.people(held_out, margin=3)


def test_the_box_around_the_brain_leaves_the_neck_and_stays_within_the_map():
    labels = torch.zeros((20, 20, 40), dtype=torch.uint8)
    labels[8:12, 1:15, 25:35] = 3
    labels[5:15, 5:15, :20] = 9  # a neck
    assert torch.equal(around(labels, [3, 4], 2), labels[6:14, 0:17, 23:37])


def test_maps_of_any_orientation_become_ras_with_indices_for_values(tmp_path):
    """The same head written right to left and from foot to head swapped: both load alike, renumbered and cropped."""
    head = np.zeros((12, 14, 16), dtype=np.int16)
    head[2:6, 3:9, 4:12], head[6:9, 3:9, 4:12] = 2, 530
    ras, lps = np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])
    lps[:2, 3] = 11, 13
    nibabel.save(nibabel.Nifti1Image(head, ras), tmp_path / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(head[::-1, ::-1]), lps), tmp_path / "b.nii.gz")
    loaded = load_label_maps([tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"])
    assert loaded.values == (0, 2, 530)
    expected = torch.ones((7, 6, 8), dtype=torch.uint8)
    expected[4:] = 2  # to the patient's right: flipped, it would come first
    assert all(torch.equal(labels, expected) for labels in loaded.maps)
