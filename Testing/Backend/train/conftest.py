from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from SlicerSynthReg.nets.matching import MatchingConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.synth.shapes import ShapesConfig
from SlicerSynthReg.train import loop
from SlicerSynthReg.train.labelmaps import LabelMaps
from SlicerSynthReg.train.pairs import PairConfig

VALUES = (
    0, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 25, 26, 28, 30, 41, 42, 43, 44, 46, 47, 49, 50, 51,
    52, 53, 54, 57, 58, 60, 62, 72, 85, 136, 137, 163, 164, 502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530,
)  # fmt: skip
"""Every FreeSurfer number of the whole-head maps that the brains variant is trained on."""

SMALL_UNET = UNetConfig(1, 8, (4, 8, 8))
SMALL_MATCHING = MatchingConfig(levels=(2, 1), width=8)
SMALL_PAIRS = PairConfig(shape=(24, 28, 20), shapes=ShapesConfig(labels=8, resolution=8, velocity_sd=10.0))


@pytest.fixture
def a_clock(monkeypatch) -> list[float]:
    """The loop's clock stands still but for what a task adds to it."""
    now = [100.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def four_heads() -> LabelMaps:
    """Four maps of 60^3 voxels, each with every label in blocks of 6 voxels at places of its own."""
    maps = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        order = torch.cat([torch.randperm(len(VALUES), generator=generator) for _ in range(19)])[:1000]
        blocks = order.to(torch.uint8).view(10, 10, 10)
        maps.append(blocks.repeat_interleave(6, 0).repeat_interleave(6, 1).repeat_interleave(6, 2).contiguous())
    return LabelMaps(tuple(maps), VALUES)
