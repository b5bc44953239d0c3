from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.synthesis.deformation import DeformationConfig, draw_deformation, inverse_warp_index, warp_index
from SlicerSynthReg.synthesis.mirror import Mirror


def test_flip_reverses_the_first_axis():
    image = torch.arange(2 * 5 * 4 * 3, dtype=torch.float32).view(2, 5, 4, 3)
    assert torch.allclose(Mirror.flip((5, 4, 3)).apply(image), image.flip(1), atol=1e-4)


def test_displacement_is_added_before_the_matrix():
    u = torch.zeros(3, 2, 1, 1)
    u[0, 1] = 1.5  # blocks of 4 voxels from voxel 3 on: 3..6 stay, 7..10 move
    mirror = Mirror(np.diag([-1.0, 1.0, 1.0, 1.0]), u, 4, (3, 0, 0))
    at = torch.tensor([[4.5, 6.5, 8.5, 50.0], [0.0] * 4, [0.0] * 4])
    assert mirror.map_index(at)[0].tolist() == [-4.5, -(6.5 + 0.75), -(8.5 + 1.5), -51.5]
    assert mirror.map_index(at, share=0.0)[0].tolist() == [-4.5, -6.5, -8.5, -50.0]


@pytest.mark.parametrize("velocity_sd", [0.0, 1.0])
def test_inverse_of_a_warp(velocity_sd):
    config = DeformationConfig((8, 16), velocity_sd, 5, 15.0, 3.0, 0.1, 0.05, (1.8, 2.2), (0,))
    record = draw_deformation(config, torch.Generator().manual_seed(2))
    size, shape = (60, 70, 64), (24, 28, 26)
    index = warp_index([record], size, shape)
    inverse = inverse_warp_index([record], index, size, shape)
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4), slice(4, -4))
    error = (inverse - index_lattice(shape))[inner].abs()
    assert float(error.mean()) < (0.03 if velocity_sd else 1e-4)
    assert float((index - index_lattice(shape))[inner].abs().mean()) > 5
