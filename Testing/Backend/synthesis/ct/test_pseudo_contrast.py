"""Pseudo-contrast: what is added is known, all else stays as scanned."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ct.bolus import enhancement_hu
from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SlicerSynthReg.synthesis.ct.pseudo_contrast import (
    PseudoContrastConfig,
    PseudoContrastDraw,
    add_pseudo_contrast,
    draw_pseudo_contrast,
)

PLACES = {52: (4, 14, 45), 5: (20, 36, 20), 3: (20, 36, 52), 29: (4, 14, 65), 6: (40, 56, 20), 63: (4, 14, 20)}
HU = {52: 42.0, 5: 55.0, 3: 32.0, 29: 300.0, 6: -980.0, 63: 40.0}


@pytest.fixture
def a_scan() -> tuple[torch.Tensor, torch.Tensor, Grid]:
    """Blocks of organs 60 voxels long in muscle and fat, with noise; k runs downwards."""
    labels = torch.zeros((60, 80, 24), dtype=torch.int32)
    hu = torch.full(labels.shape, -105.0)
    hu[58:] = 50.0  # muscle without a label
    for value, (low, high, at) in PLACES.items():
        labels[low:high, at - 8 : at + 8] = value
        hu[low:high, at - 8 : at + 8] = HU[value]
    hu += torch.randn(hu.shape, generator=torch.Generator().manual_seed(0)) * 8
    affine = np.diag([1.5, 1.5, -3.0, 1.0])
    return hu, labels, Grid(tuple(labels.shape), affine)


@pytest.fixture
def a_record(seeded) -> PseudoContrastDraw:
    return draw_pseudo_contrast(PseudoContrastConfig(time_s=(34.0, 34.0)), seeded(2))


def gain_in(pair, value: int, margin: int = 3) -> torch.Tensor:
    low, high, at = PLACES[value]
    inner = (slice(low + margin, high - margin), slice(at - 8 + margin, at + 8 - margin), slice(3, -3))
    return (pair.contrast - pair.native)[inner]


def test_the_native_is_the_scan_itself_and_the_record_rebuilds_the_contrast(a_scan, a_record):
    read = draw.from_json(PseudoContrastDraw, json.loads(json.dumps(draw.to_json(a_record))))
    one, two = add_pseudo_contrast(*a_scan, a_record), add_pseudo_contrast(*a_scan, read)
    assert torch.equal(one.native, a_scan[0]) and torch.equal(one.contrast, two.contrast)


def test_organs_gain_what_the_bolus_says(a_scan, a_record):
    pair, gained = add_pseudo_contrast(*a_scan, a_record), enhancement_hu(a_record.bolus, a_record.time_s)
    assert float(gain_in(pair, 52).median()) == pytest.approx(gained["aorta"], rel=0.05)
    assert float(gain_in(pair, 5).median()) == pytest.approx(gained["liver"], rel=0.1)


def test_fat_gas_and_air_gain_nothing_and_cortical_bone_next_to_nothing(a_scan, a_record):
    pair = add_pseudo_contrast(*a_scan, a_record)
    gain = pair.contrast - pair.native
    assert float(gain[:3].abs().max()) == 0.0  # fat
    assert float(gain_in(pair, 6, 2).abs().max()) == 0.0  # the stomach's gas
    dense = a_scan[0].clone()
    dense[4:14, 57:73] = 900.0
    assert float(gain_in(add_pseudo_contrast(dense, a_scan[1], a_scan[2], a_record), 29).abs().max()) == 0.0
    assert float(gain[59].median()) == pytest.approx(enhancement_hu(a_record.bolus, 34.0)["muscle"], rel=0.1)


def test_noise_is_not_amplified(a_scan, a_record):
    """A gain by the voxel's own HU would carry the noise: the difference must be far smoother than it."""
    gain = gain_in(add_pseudo_contrast(*a_scan, a_record), 52)
    assert float((gain[1:] - gain[:-1]).std()) < 0.4 * float((a_scan[0][5:14, 40:50].diff(dim=0)).std())


def test_a_kidney_has_a_bright_cortex_about_a_darker_medulla(a_scan, a_record):
    gained = enhancement_hu(a_record.bolus, 34.0)
    gain = (lambda pair: pair.contrast - pair.native)(add_pseudo_contrast(*a_scan, a_record))[20:36, 44:60, 8:16]
    rim, core = gain[1:3, 4:-4].median(), gain[7:9, 7:9].median()
    assert float(rim) == pytest.approx(gained["renal cortex"], rel=0.15) and float(core) < 0.6 * float(rim)


def test_the_vena_cava_is_brighter_above_the_kidneys_than_below_whatever_way_the_slices_run(a_scan, a_record):
    hu, labels, grid = a_scan
    labels = labels.clone()
    labels[20:36, 44:60, :8] = labels[20:36, 44:60, 16:] = 0  # the kidney ends within the scan
    early = dataclasses.replace(a_record, time_s=40.0)
    gain = (lambda pair: pair.contrast - pair.native)(add_pseudo_contrast(hu, labels, grid, early))[7:11, 16:24]
    assert float(gain[..., :8].median()) > 2 * float(gain[..., 16:].median())  # k = 0 is the top here


def test_parts_become_organs(a_scan, a_record):
    labels = a_scan[1].clone()
    labels[labels == 29] = 33
    labels[labels == 52] = 66
    pair = add_pseudo_contrast(a_scan[0], labels, a_scan[2], a_record)
    assert set(pair.labels.unique().tolist()) == {0, 3, 5, 6, 63, ORGANS["vertebra"], ORGANS["aorta"]}
