"""Label maps filled with tissue."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.ct.bolus import enhancement
from SlicerSynthReg.synth.ct.from_labels import FromLabelsConfig, FromLabelsDraw, draw_from_labels, make_from_labels
from SlicerSynthReg.synth.ct.tissue import PLACES

GRID = Grid((64, 48, 6), np.diag([-3.0, -3.0, 5.0, 1.0]))


@pytest.fixture
def labels() -> torch.Tensor:
    """Liver, aorta (an iliac part of it), a kidney and a vertebra in the middle of the field."""
    map_ = torch.zeros(GRID.shape, dtype=torch.int32)
    map_[18:30, 14:34] = 5
    map_[34:40, 16:22] = 65
    map_[40:50, 24:34] = 3
    map_[30:38, 26:34] = 31
    return map_


def a_record(seeded, **changes) -> FromLabelsDraw:
    return draw_from_labels(FromLabelsConfig(time_s=(34.0, 34.0), **changes), seeded(4))


def test_the_record_survives_json_and_rebuilds_the_pair(labels, seeded):
    record = a_record(seeded)
    read = draw.from_json(FromLabelsDraw, json.loads(json.dumps(draw.to_json(record))))
    one, two = (make_from_labels(labels, GRID, each) for each in (record, read))
    assert read == record and torch.equal(one.native, two.native) and torch.equal(one.contrast, two.contrast)


def test_each_organ_has_its_tissue_and_gains_its_share(labels, seeded):
    record = a_record(seeded, noise_free=True)
    pair, gained = make_from_labels(labels, GRID, record), enhancement(record.bolus, 34.0)
    inner = {"liver": (slice(21, 27), slice(18, 30)), "aorta": (slice(36, 38), slice(18, 20))}
    for organ, at in inner.items():
        assert float(pair.native[at].median()) == pytest.approx(record.native_hu[PLACES[organ]], abs=4)
        assert float((pair.contrast - pair.native)[at].median()) == pytest.approx(gained[organ], rel=0.1)
    cortex, medulla = ((pair.contrast - pair.native)[at].median() for at in ((40, slice(26, 32)), (45, 29)))
    assert float(cortex) > 2 * float(medulla)
    assert set(pair.labels.unique().tolist()) == {0, 3, 5, 29, 52}


def test_wall_fat_and_skin_lie_about_the_organs_as_thick_as_drawn(labels, seeded):
    record = a_record(seeded, noise_free=True, wall_mm=(12.0, 12.0), fat_mm=(15.0, 15.0))
    line = make_from_labels(labels, GRID, record).native[:18, 24, 3].flip(0)  # outwards from the liver, 3 mm a step
    muscle, fat = record.native_hu[PLACES["muscle"]], record.native_hu[PLACES["fat"]]
    assert float(line[1:3].mean()) == pytest.approx(muscle, abs=25) and float(line[5:8].mean()) == pytest.approx(
        fat, abs=15
    )
    assert (line[12:] < -950).all() and (make_from_labels(labels, GRID, record).native[:4] < -950).all()


def test_the_gap_between_two_organs_is_fat_not_air(labels, seeded):
    pair = make_from_labels(labels, GRID, a_record(seeded, noise_free=True))
    assert float(pair.native[32, 18, 3]) == pytest.approx(-100, abs=60)
