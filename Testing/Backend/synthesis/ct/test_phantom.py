"""The two scans of a virtual patient: what differs is known."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ct.bolus import enhancement_hu
from SlicerSynthReg.synthesis.ct.organs import ORGANS, organ_name, organ_of
from SlicerSynthReg.synthesis.ct.phantom import CTPair, PhantomConfig, PhantomDraw, draw_phantom, make_phantom

COARSE = PhantomConfig(
    shape=(80, 80, 20), spacing_mm=(5.0, 5.0, 6.0), zoom=(1.0, 1.0), level_mm=(20.0, 20.0), noise_free=True
)


def a_patient(seed: int = 5, **changes) -> PhantomDraw:
    return draw_phantom(dataclasses.replace(COARSE, **changes), torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def patient() -> PhantomDraw:
    return a_patient(oral=1.0)


@pytest.fixture(scope="module")
def pair(patient) -> CTPair:
    return make_phantom(patient)


def middle_of(pair: CTPair, organ: str) -> np.ndarray:
    """RAS mm."""
    return pair.grid.index_to_world((pair.labels == ORGANS[organ]).nonzero().numpy()).mean(0)


def test_a_record_survives_json_and_rebuilds_both_scans():
    record = a_patient(misregistration_mm=8.0, noise_free=False)
    read = draw.from_json(PhantomDraw, json.loads(json.dumps(draw.to_json(record))))
    assert read == record and hash(read) == hash(record)
    one, two = make_phantom(record), make_phantom(read)
    assert torch.equal(one.native, two.native) and torch.equal(one.contrast, two.contrast)
    assert not torch.equal(one.native, make_phantom(a_patient(6, noise_free=False)).native)


def test_making_a_phantom_leaves_the_global_generator_alone(patient):
    state = torch.get_rng_state()
    make_phantom(patient)
    assert torch.equal(torch.get_rng_state(), state)


def test_organs_lie_where_they_do_in_people(pair):
    """World coordinates: a mirrored grid would put the liver on the left."""
    assert middle_of(pair, "liver")[0] > 30 > -30 > middle_of(pair, "spleen")[0]
    assert middle_of(pair, "right kidney")[0] > 20 > -20 > middle_of(pair, "left kidney")[0]
    spine, aorta, cava = (middle_of(pair, organ) for organ in ("vertebra", "aorta", "vena cava"))
    assert spine[1] + 15 < aorta[1] and aorta[0] < 5 < cava[0]
    assert middle_of(pair, "right lung")[2] > middle_of(pair, "liver")[2]
    assert pair.grid.affine[0, 0] < 0 and pair.grid.affine[1, 1] < 0 < pair.grid.affine[2, 2]


def test_only_iodine_tells_the_scans_apart(patient, pair):
    """Another time changes the contrast alone; before the bolus arrives both are one."""
    later = make_phantom(dataclasses.replace(patient, time_s=70.0))
    assert torch.equal(later.native, pair.native) and not torch.equal(later.contrast, pair.contrast)
    early = make_phantom(dataclasses.replace(patient, time_s=5.0))
    assert torch.equal(early.native, early.contrast)


def test_enhancement_is_that_of_the_bolus(patient, pair):
    gained = enhancement_hu(patient.bolus, patient.time_s)
    gain = pair.contrast - pair.native
    assert float(gain.min()) >= 0
    for organ, uptake in (("aorta", "aorta"), ("spleen", "spleen"), ("left back muscle", "muscle")):
        inside = gain[(pair.labels == ORGANS[organ]) & (pair.native > 20)]
        middle = float(inside.quantile(0.85 if organ == "aorta" else 0.5))  # its wall shares the voxels of its edge
        assert middle == pytest.approx(gained[uptake], rel=0.12, abs=1.5), organ


def test_what_takes_up_nothing_stays(pair):
    """Air, fat and gas, and above all the contrast that was drunk, which is as bright as enhanced blood."""
    gain = pair.contrast - pair.native
    assert float(gain[pair.native < -950].max()) < 1.0
    assert float(gain[(pair.native < -95) & (pair.native > -120)].median()) == 0.0
    bowel = torch.isin(pair.labels, torch.tensor([ORGANS[o] for o in ("stomach", "colon", "small bowel", "duodenum")]))
    drunk = bowel & (pair.native > 200)
    assert int(drunk.sum()) > 20 and float(gain[drunk].median()) == 0.0


def test_one_patient_on_two_grids_is_the_same_patient(patient):
    fine = dataclasses.replace(patient, shape=(100, 100, 30), spacing_mm=(4.0, 4.0, 4.0))
    litres = []
    for record in (patient, fine):
        pair = make_phantom(record)
        here = (pair.labels == ORGANS["left kidney"]) | (pair.labels == ORGANS["spleen"])
        litres.append(float(here.sum()) * float(np.prod(pair.grid.spacing)) / 1e6)
    assert 0.1 < litres[0] < 1.0 and litres[0] == pytest.approx(litres[1], rel=0.06)


def test_noise_is_shared_or_not_as_asked():
    apart, same = (make_phantom(a_patient(noise_free=False, shared_noise=share)) for share in (0.0, 1.0))
    true = make_phantom(a_patient())
    fat = (true.contrast == true.native) & (true.native > -130) & (true.native < -80)
    difference = [float((pair.contrast - pair.native)[fat].std()) for pair in (apart, same)]
    noise = float((apart.native - true.native)[fat].std())
    assert difference[0] > noise > 3 * difference[1]


def test_breathing_moves_organs_by_the_field_it_tells():
    """contrast(x) = exact contrast at x + u(x): read back through u, the misregistered scan explains itself."""
    record = a_patient(9, misregistration_mm=14.0)
    assert abs(record.breathing.cranial_mm) > 4
    moved, exact = make_phantom(record), make_phantom(dataclasses.replace(record, breathing=None))
    assert torch.equal(moved.native, exact.native) and torch.equal(moved.labels, exact.labels)
    at = index_lattice(record.shape) + moved.u_vox
    read = sample(exact.contrast[None, None], at[None], padding="border")[0, 0]
    inner = (slice(None), slice(None), slice(4, -4))
    before = float((moved.contrast - exact.contrast)[inner].abs().mean())
    after = float((moved.contrast - read)[inner].abs().mean())
    wrong_way = sample(exact.contrast[None, None], (index_lattice(record.shape) - moved.u_vox)[None], padding="border")
    assert after < 0.6 * before < float((moved.contrast - wrong_way[0, 0])[inner].abs().mean())
    far = moved.u_vox.norm(dim=0)
    liver, spine = (float(far[moved.labels == ORGANS[organ]].median()) for organ in ("liver", "vertebra"))
    assert liver > 5 * spine
    assert float(far[moved.native < -990].median()) == 0.0


def test_portal_and_arterial_phases_are_told_apart_by_their_organs():
    arterial, portal = (make_phantom(a_patient(time_s=(t, t))) for t in (32.0, 72.0))
    liver, aorta = (arterial.labels == ORGANS[organ] for organ in ("liver", "aorta"))
    assert float((portal.contrast - arterial.contrast)[liver].median()) > 20
    assert float((portal.contrast - arterial.contrast)[aorta].median()) < -80


def test_organs_have_names_and_parts_have_organs():
    assert organ_of(52) == organ_of(65) == ORGANS["aorta"] and organ_name(52) == "aorta"
    assert organ_of(10) == organ_of(11) == ORGANS["left lung"] and organ_of(12) == ORGANS["right lung"]
    assert organ_of(31) == ORGANS["vertebra"] and organ_of(95) == organ_of(110) == ORGANS["rib"]
    assert organ_of(90) == 0 and organ_name(90) == "label 90"
