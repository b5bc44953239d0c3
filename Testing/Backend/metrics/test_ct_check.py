"""What is let through as a CT, what is refused in which words, and what the aorta tells of the phase."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.aorta import detect_aorta
from SlicerSynthReg.metrics.ct_check import check_ct, classify_phase
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SlicerSynthReg.synthesis.ct.phantom import CTPair, PhantomConfig, draw_phantom, make_phantom


@pytest.fixture(scope="module")
def patient() -> CTPair:
    config = PhantomConfig(
        shape=(104, 104, 18), spacing_mm=(3.6, 3.6, 6.0), zoom=(1.0, 1.0), level_mm=(20.0, 20.0), time_s=(34.0, 34.0)
    )
    return make_phantom(draw_phantom(config, torch.Generator().manual_seed(16)))


def scan(values: torch.Tensor, grid: Grid) -> Image:
    return Image(values[None].float(), grid)


def refusal(values: torch.Tensor, grid: Grid) -> str:
    with pytest.raises(ImageError) as caught:
        check_ct(scan(values, grid))
    assert caught.value.code == "not-hounsfield"
    return str(caught.value)


def test_the_aorta_is_found_where_it_is_native_or_not(patient):
    inside = (patient.labels == ORGANS["aorta"]).nonzero().numpy()
    true = np.array([patient.grid.index_to_world(inside[inside[:, 2] == k]).mean(0) for k in range(2, 16)])
    for image in (patient.native, patient.contrast):
        found = detect_aorta(scan(image, patient.grid))
        away = np.linalg.norm(true[:, None] - found.centerline_mm[None], axis=2).min(1)
        assert found.reliable and np.median(away) < 5.0
        assert found.hu == pytest.approx(float(image[patient.labels == ORGANS["aorta"]].median()), abs=35)


def test_its_place_does_not_depend_on_the_order_of_the_axes(patient):
    """The same scan stored sagittally, k first and running down."""
    affine = patient.grid.affine[:, [2, 0, 1, 3]].copy()
    affine[:, 0] *= -1
    affine[:3, 3] = patient.grid.index_to_world(np.array([[0, 0, patient.grid.shape[2] - 1]]))[0]
    turned = patient.contrast.permute(2, 0, 1).flip(0)
    one = detect_aorta(scan(patient.contrast, patient.grid))
    other = detect_aorta(scan(turned, Grid(tuple(turned.shape), affine)))
    assert (
        other.hu == pytest.approx(one.hu, abs=3)
        and np.abs(other.centerline_mm.mean(0) - one.centerline_mm.mean(0)).max() < 4
    )


def test_native_and_arterial_are_told_apart_with_a_reason(patient):
    native, contrast = (check_ct(scan(image, patient.grid)) for image in (patient.native, patient.contrast))
    assert (native.phase, native.timing) == ("native", "") and "anterior to the spine" in native.reasons[0]
    assert (contrast.phase, contrast.timing) == (
        "contrast",
        "arterial",
    ) and f"{contrast.aorta_hu:.0f} HU" in contrast.reasons[0]
    assert [classify_phase(hu)[0] for hu in (42, 74, 80, 101)] == ["native", "native", "unknown", "contrast"]
    assert classify_phase(150)[1] == "portal venous or late"


def test_labels_tell_the_phase_instead_of_a_search(patient):
    labels = Image((patient.native[None] > 1e9).int(), patient.grid, "labels")
    labels.data[0, :5, :5, :5] = ORGANS["aorta"]
    image = patient.native.clone()
    image[:5, :5, :5] = 290.0
    found = check_ct(scan(image, patient.grid), labels)
    assert found.phase == "contrast" and found.aorta_hu == 290 and "labelled aorta" in found.reasons[0]


def test_where_no_aorta_is_to_be_seen_none_is_made_up(patient, seeded):
    """A water bath with noise, and the patient's left flank alone."""
    bath = torch.randn(patient.grid.shape, generator=seeded(0)) * 10
    bath[:20] = bath[-20:] = -1000.0
    assert check_ct(scan(bath, patient.grid)).phase == "unknown"
    flank = patient.grid.cropped((66, 0, 0), (104, 104, 18))
    assert check_ct(scan(patient.contrast[66:], flank)).phase == "unknown"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: (hu.clamp(-1000, 1000)) / 1000, "scaled for a network"),
        (lambda hu: ((hu + 160) / 400).clamp(0, 1).mul(255).round(), "grey values of a picture"),
        (lambda hu: (hu + 1024).clamp_min(0), "shifted by 1024"),
        (lambda hu: hu - 1024, "subtracted twice"),
        (lambda hu: (hu + 1024).clamp_min(0) * 0.3, "MR or another modality"),
        (lambda hu: hu.clamp(-160, 240), "clipped to a window of -160 to 240"),
        (lambda hu: hu * 4, "may be scaled"),
        (lambda hu: hu * 0.5, "may be scaled"),
    ],
)
def test_what_is_no_hu_is_refused_in_words_that_help(patient, change, words):
    assert words in refusal(change(patient.contrast.clone()), patient.grid)


def test_real_hu_pass_with_padding_and_with_the_range_of_usual_scanners(patient):
    padded = patient.native.clone()
    padded[:10] = -2000.0
    for image in (padded, patient.native.clamp(-1000, 1000), patient.native.clamp(-1024, 3071)):
        assert not [w for w in check_ct(scan(image, patient.grid)).warnings if "clipped" in w]


def test_a_range_cut_off_is_told(patient):
    [warning] = [w for w in check_ct(scan(patient.contrast.clamp(-1000, 300), patient.grid)).warnings if "clipped" in w]
    assert "300 HU" in warning


def test_odd_matrices_wide_fields_thick_slices_and_tilt_are_told(patient):
    affine = patient.grid.affine.copy()
    affine[:3, :3] *= 1.7
    affine[1, 2] = 3.0
    warnings = " ".join(check_ct(scan(patient.native, dataclasses.replace(patient.grid, affine=affine))).warnings)
    for words in ("104 x 104", "field of view of 636 mm", "10.6 mm apart", "gantry tilt"):
        assert words in warnings
    large = torch.nn.functional.interpolate(patient.native.permute(2, 0, 1)[None], (512, 512))[0].permute(1, 2, 0)
    assert check_ct(scan(large, Grid((512, 512, 18), np.diag([0.73, 0.73, 5.0, 1.0])))).warnings == ()
