from __future__ import annotations

import torch

from SlicerSynthReg.spatial.morphology import largest_component, remove_small


def test_the_larger_of_two_pieces_that_touch_at_an_edge_only_is_left():
    where = torch.zeros(6, 6, 6, dtype=torch.bool)
    where[0:2, 0:2, 0:2] = True
    where[2:5, 2:5, 0:2] = True
    left = largest_component(where)
    assert left.dtype == torch.bool and int(left.sum()) == 18 and bool(left[2:5, 2:5, 0:2].all())


def test_of_nothing_nothing_is_left():
    assert not largest_component(torch.zeros(3, 4, 5, dtype=torch.bool)).any()


def test_pieces_below_the_least_size_go_and_the_others_stay():
    where = torch.zeros(6, 6, 6, dtype=torch.bool)
    where[0, 0, 0:3] = where[3, 3, 0:4] = where[5, 5, 5] = True
    left = remove_small(where, 3.5)
    assert left.dtype == torch.bool and int(left.sum()) == 4 and bool(left[3, 3, 0:4].all())
    assert torch.equal(remove_small(where, 1), where)
    assert not remove_small(torch.zeros(3, 4, 5, dtype=torch.bool), 0).any()
