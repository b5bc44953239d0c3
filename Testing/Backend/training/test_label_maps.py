from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.training import label_maps
from SlicerSynthReg.training.label_maps import LabelMaps, crop_to_labels, load_label_maps, read_label_maps


def test_groups_join_left_and_right_and_scored_structures_do_not(four_heads):
    index = four_heads.values.index
    groups, scored = four_heads.groups, four_heads.scored_structures
    assert groups[index(17)] == groups[index(53)] != groups[index(18)]
    assert scored[index(17)] != scored[index(53)]
    assert scored[index(4)] == scored[index(5)] != scored[index(14)]
    assert [scored[index(value)] for value in (0, 24, 511)] == [None] * 3
    numbers = {n for n in scored if n is not None}
    assert numbers == set(range(29))  # without gaps


def test_the_last_maps_are_validation_cases(four_heads):
    marked = LabelMaps(tuple(m.clone() for m in four_heads.maps), four_heads.values)
    for n, labels in enumerate(marked.maps):
        labels[30, 30, 30] = n + 1
    training, validation = marked.split(validation_cases=1, margin_vox=60)
    assert [int(m[30, 30, 30]) for m in training] == [1, 2, 3] and [int(m[30, 30, 30]) for m in validation] == [4]
    training, validation = marked.split(validation_cases=0, margin_vox=60)
    assert len(training) == len(validation) == 4


@pytest.mark.parametrize("validation_cases", [4, 5, -1])
def test_no_maps_to_train_on_are_refused(four_heads, validation_cases):
    with pytest.raises(ValueError, match=f"Found 4 label maps and {validation_cases} validation cases"):
        four_heads.split(validation_cases, margin_vox=3)


def test_the_crop_excludes_other_labels_and_stays_within_the_map():
    labels = torch.zeros((20, 20, 40), dtype=torch.uint8)
    labels[8:12, 1:15, 25:35] = 3
    labels[5:15, 5:15, :20] = 9  # a neck
    assert torch.equal(crop_to_labels(labels, [3, 4], 2), labels[6:14, 0:17, 23:37])


def test_label_maps_of_any_orientation_become_ras_indices(tmp_path):
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


def test_cached_label_maps_are_used_until_a_file_changes(tmp_path, label_map_folder, monkeypatch):
    cache = tmp_path / "maps.pt"
    first = read_label_maps(label_map_folder, 1, cache)
    calls = []
    load = label_maps.load_label_maps
    monkeypatch.setattr(label_maps, "load_label_maps", lambda paths: calls.append(paths) or load(paths))
    again = read_label_maps(label_map_folder, 1, cache)
    assert calls == [] and again.values == first.values
    assert all(torch.equal(a, b) for a, b in zip(again.maps, first.maps))
    (label_map_folder / "2.nii.gz").unlink()
    assert len(read_label_maps(label_map_folder, 1, cache).maps) == 2 and len(calls) == 1


def test_too_few_label_maps_are_refused(label_map_folder):
    with pytest.raises(ImageError) as refused:
        read_label_maps(label_map_folder, 3)
    assert refused.value.code == "too-few-label-maps"
