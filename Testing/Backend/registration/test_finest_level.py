"""Images of the same contrast with fine voxels are refined at half the voxel size of the comparison."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("nilearn", reason="the template comes with nilearn (extra 'demo')")

from SlicerSynthReg.cli.demo import make_demo_pair
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, PipelineResult, register_brains
from SlicerSynthReg.registration.deformable import DeformableConfig, add_intensity_channel
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.preprocessing import RegistrationImage
from SlicerSynthReg.spatial.transform import Velocity, resample

SPACING_MM = 6.0


@pytest.fixture(scope="module")
def head_3mm() -> Image:
    return make_demo_pair(spacing=3.0).fixed


@pytest.fixture(scope="module")
def known_deformation(head_3mm) -> Velocity:
    grid = head_3mm.grid
    axes = [torch.linspace(0, 3 * np.pi, n) for n in grid.shape]
    i, j, k = torch.meshgrid(*axes, indexing="ij")
    return Velocity(torch.stack([j.sin() * k.cos(), k.sin() * i.cos(), i.sin() * j.cos()]) * 1.2, grid)


@pytest.fixture(scope="module")
def registered(head_3mm, known_deformation):
    """Register `head_3mm` to its deformed copy at 6 mm. ratio: BrainPipelineConfig.finest_level_ratio."""
    head, inverse = head_3mm, known_deformation.inverse()
    deformed = Image(resample(head.data, head.grid, head.grid, inverse), head.grid)

    def build(ratio: float) -> PipelineResult:
        config = BrainPipelineConfig(spacing_mm=SPACING_MM, finest_level_ratio=ratio)
        return register_brains(RegistrationInputs(head, deformed), config)

    return build


def error_mm(result: PipelineResult, truth: Velocity, head: Image) -> float:
    inside = head.grid.index_to_world((head.data[0] > head.data.mean()).nonzero()[::50].numpy())
    return float(np.linalg.norm(result.transform.map_points(inside) - truth.map_points(inside), axis=1).mean())


def test_finest_level_reduces_the_error(registered, known_deformation, head_3mm):
    coarse, fine = (error_mm(registered(ratio), known_deformation, head_3mm) for ratio in (0.1, 0.75))
    assert fine < 0.9 * coarse
    assert fine < 1.5, "half a voxel of the images"


def test_finest_level_grid_divides_the_comparison_grid(registered):
    coarse, fine = (registered(ratio).transform.parts[0].grid for ratio in (0.1, 0.75))
    assert np.allclose(fine.spacing, SPACING_MM / 2) and fine.downsampled(2).same_as(coarse, 1e-6)


def test_intensity_channel_does_not_depend_on_gain_and_offset():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((6, 6, 6), generator=generator)
    weight = (torch.rand((6, 6, 6), generator=generator) > 0.3).float()
    contrast = torch.zeros((2, 6, 6, 6))
    one, two = (
        add_intensity_channel(contrast, RegistrationImage(scaled, weight, None), DeformableConfig())[2]
        for scaled in (image * 40, image * 120 - 7)
    )
    assert torch.allclose(one, two, atol=5e-3) and float(one.std()) > 0.3


def test_finest_level_is_skipped_for_a_large_field_of_view(head_3mm):
    config = BrainPipelineConfig(spacing_mm=SPACING_MM, max_voxels=1000)
    result = register_brains(RegistrationInputs(head_3mm, head_3mm), config)
    assert np.allclose(result.transform.parts[0].grid.spacing, SPACING_MM)
