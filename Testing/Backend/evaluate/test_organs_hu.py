from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.evaluate.organs_hu import organ_medians
from SlicerSynthReg.space.grid import GeometryError
from SlicerSynthReg.volume.volume import Volume


def test_parts_of_an_organ_are_one_and_medians_are_not_means(a_grid_of):
    grid = a_grid_of((10, 10, 6))
    labels = torch.zeros(1, 10, 10, 6, dtype=torch.int32)
    labels[..., 0], labels[..., 1] = 25, 27  # two vertebrae
    labels[..., 2], labels[0, :4, 0, 3], labels[..., 4] = 52, 5, 300
    hu = torch.full((1, 10, 10, 6), 900.0)
    hu[..., 0], hu[..., 1], hu[..., 2], hu[..., 4] = 100, 300, 41, 7
    hu[0, :3, :, 2] = 10_000  # metal in less than half of the aorta
    found = organ_medians(Volume(hu, grid), Volume(labels, grid, "labels"))
    assert set(found) == {"vertebra", "aorta", "label 300"}  # four voxels of liver are too few
    assert found["vertebra"].voxels == 200 and found["vertebra"].hu in (100, 300)
    assert found["aorta"].hu == 41 and found["label 300"].hu == 7


def test_somebodys_own_numbers_are_not_taken_for_organs(a_grid_of):
    grid = a_grid_of((5, 5, 5))
    liver = Volume(torch.ones(1, 5, 5, 5, dtype=torch.int32), grid, "labels")  # TotalSegmentator's 1 is the spleen
    assert set(organ_medians(Volume(torch.full((1, 5, 5, 5), 60.0), grid), liver)) == {"label 1"}


def test_another_grid_is_refused(a_grid_of):
    labels = Volume(torch.ones(1, 4, 4, 4, dtype=torch.int32), a_grid_of((4, 4, 4)), "labels")
    with pytest.raises(GeometryError):
        organ_medians(Volume(torch.zeros(1, 5, 4, 4), a_grid_of((5, 4, 4))), labels)
