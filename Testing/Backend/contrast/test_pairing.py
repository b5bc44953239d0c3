"""From studies as hospitals store them to registered pairs; what is no pair is left out and told why."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from SlicerSynthReg.cli.main import app
from SlicerSynthReg.contrast.pairing import (
    PairingOptions,
    body_mask,
    read_phased_series,
    select_pair,
    split_patients,
    write_pairs,
)
from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.ct_series import SeriesCheck, check_ct_series, find_ct_series
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.synthesis.ct.phantom import CTPair, PhantomConfig, draw_phantom, make_phantom
from Testing.Backend.contrast.dicom_studies import Study

CONFIG = PhantomConfig(
    shape=(88, 76, 20), spacing_mm=(4.4, 4.4, 6.0), zoom=(1.0, 1.0), level_mm=(25.0, 25.0), time_s=(34.0, 34.0)
)


@pytest.fixture(scope="module")
def patient() -> tuple[CTPair, torch.Tensor]:
    """A pair that breathed, and the contrast scan as it would be had it not."""
    record = draw_phantom(dataclasses.replace(CONFIG, misregistration_mm=14.0), torch.Generator().manual_seed(21))
    record = dataclasses.replace(record, breathing=dataclasses.replace(record.breathing, cranial_mm=12.0))
    return make_phantom(record), make_phantom(dataclasses.replace(record, breathing=None)).contrast


@pytest.fixture
def a_study(tmp_path, patient) -> Study:
    study, pair = Study(tmp_path / "export"), patient[0]
    study.series(pair.native, pair.grid, "Abdomen nativ")
    study.series(pair.contrast, pair.grid, "Abdomen art. Meier")
    return study


def told(folder: Path, out: Path, **options) -> tuple[int, str]:
    lines: list[str] = []
    given = {"phase": "arterial", "test_share": 0.0, "interpolate_gaps": False, "spacing": 6.0, **options}
    return write_pairs(folder, out, PairingOptions(**given), lines.append), "\n".join(lines)


def test_a_study_becomes_a_registered_pair_that_names_nobody(a_study, tmp_path, patient):
    count, words = told(a_study.folder, tmp_path / "out")
    assert count == 1, words
    case = tmp_path / "out" / "train" / "patient0001-1"
    native, contrast = (read_image(case / f"{name}.nii.gz") for name in ("native", "contrast"))
    pair, unmoved = patient
    np.testing.assert_allclose(native.data[0], pair.native.round(), atol=0.01)
    assert contrast.grid.same_as(pair.grid, 0.01) and native.grid.same_as(contrast.grid)
    organs = (pair.labels > 0) & (pair.native > -300)
    before = float((pair.contrast - unmoved)[organs].abs().mean())
    after = float((contrast.data[0] - unmoved)[organs].abs().mean())
    assert after < 0.75 * before
    written = words + "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.suffix in (".json", ".csv"))
    assert "Meier" not in written and str(tmp_path) not in written
    with open(tmp_path / "out" / "pairs.csv", newline="") as file:
        [row] = csv.DictReader(file)
    assert float(row["ncc_after"]) > float(row["ncc_before"]) and row["phase"] == "arterial"


def test_a_pair_that_is_there_is_not_made_again(a_study, tmp_path):
    told(a_study.folder, tmp_path / "out")
    contrast = tmp_path / "out" / "train" / "patient0001-1" / "contrast.nii.gz"
    contrast.write_bytes(b"mine")
    assert told(a_study.folder, tmp_path / "out")[0] == 1 and contrast.read_bytes() == b"mine"


def test_the_command_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "empty").mkdir()
    for given, words in (
        ([str(tmp_path / "nowhere")], "Found no folder of studies"),
        ([str(tmp_path / "empty")], "Found no pair in these studies"),
        ([str(tmp_path / "empty"), "--phase", "late"], "expected one of arterial, portal venous or late"),
    ):
        result = CliRunner().invoke(app, ["contrast-pairs", *given, "--out", str(tmp_path / "out")])
        assert result.exit_code == 2 and words in " ".join(result.output.replace("│", " ").split()), result.output


def scans_of(folder: Path) -> tuple[list, list[str]]:
    words: list[str] = []
    series, excluded = find_ct_series(folder)
    return [scan for one in series if (scan := read_phased_series(one, words.append))], excluded + words


def test_reports_localisers_mr_and_short_series_are_left_out_and_told(a_study, patient):
    pair = patient[0]
    uid = a_study.series(pair.contrast, pair.grid, "venous, with its scout inside")
    a_study.localiser(uid)
    a_study.report()
    a_study.other_modality(pair.native[..., :3], pair.grid)
    a_study.series(pair.native[..., :5], pair.grid, "bolus tracking")
    (a_study.folder / "DICOMDIR.txt").write_text("hello")
    series, excluded = find_ct_series(a_study.folder)
    words = "; ".join(excluded)
    assert [len(one.volume.slices) for one in sorted(series, key=lambda s: s.number)] == [20, 20, 20]
    for expected in (
        "1 localiser",
        "1 dose or other",
        "3 images or objects of modality MR",
        "5 slices, fewer",
        "not DICOM",
    ):
        assert expected in words, words


def test_two_acquisitions_in_one_series_are_taken_apart(tmp_path, patient):
    study, pair = Study(tmp_path / "export"), patient[0]
    uid = study.series(pair.native, pair.grid, "Abdomen", AcquisitionNumber=1)
    study.series(pair.contrast, pair.grid, "Abdomen", SeriesInstanceUID=uid, AcquisitionNumber=2)
    scans, _ = scans_of(study.folder)
    assert sorted(scan.phase for scan in scans) == ["arterial", "native"] and select_pair(scans, "arterial")[0]


def test_the_aorta_decides_against_wrong_tags_and_the_tags_where_no_aorta_is_seen(tmp_path, patient):
    study, pair = Study(tmp_path / "export"), patient[0]
    study.series(pair.contrast, pair.grid, "native")
    flank = Grid((30, 76, 20), pair.grid.affine)
    study.series(pair.contrast[:30], flank, "portal venous")
    study.series(pair.contrast[:30], flank, "Abdomen")
    scans, words = scans_of(study.folder)
    assert {scan.series.number: scan.phase for scan in scans} == {
        "1": "arterial",
        "2": "portal venous or late",
        "3": "",
    }
    assert any("tags state native, but" in line and "arterial" in line for line in words)


@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("ABD NATIV 5.0", "native"),
        ("Thorax/Abdomen ohne KM", "native"),
        ("w/o contrast", "native"),
        ("ART. PHASE 1.0 B30f", "arterial"),
        ("CTA Aorta", "arterial"),
        ("portalvenous 3mm", "portal venous or late"),
        ("Late/Delayed 5min", "portal venous or late"),
        ("PARTIAL heart", ""),
        ("native + arterial", ""),
    ],
)
def test_what_descriptions_tell(tmp_path, patient, description, phase):
    study = Study(tmp_path)
    study.series(torch.zeros(8, 8, 12), Grid((8, 8, 12), np.diag([1.0, 1, 1, 1])), description)
    [series] = find_ct_series(tmp_path)[0]
    assert series.phase == phase


def test_dual_energy_is_left_out(a_study, patient):
    a_study.series(patient[0].native, patient[0].grid, "VNC 70 keV")
    scans, words = scans_of(a_study.folder)
    assert len(scans) == 2 and any("dual energy" in line for line in words)


def test_missing_slices_leave_a_series_out_or_are_filled_in(tmp_path, patient):
    study, pair = Study(tmp_path / "export"), patient[0]
    study.series(pair.native, pair.grid, "native", leave_out=(7,))
    [series] = find_ct_series(study.folder)[0]
    words: list[str] = []
    assert read_phased_series(series, words.append) is None and "uneven slice spacing" in words[0]
    filled = read_phased_series(series, words.append, interpolate_gaps=True)
    expected = (pair.native[..., 6] + pair.native[..., 8]) / 2
    assert float((filled.image.data[0, :, :, 7] - expected).abs().max()) < 1.1


def test_tilt_is_measured_and_kept(tmp_path, patient):
    study, pair = Study(tmp_path / "export"), patient[0]
    affine = pair.grid.affine.copy()
    affine[1, 2] = 6.0 * np.tan(np.radians(12))
    study.series(pair.native, Grid(pair.grid.shape, affine), "native")
    [series] = find_ct_series(study.folder)[0]
    assert series.tilt_degrees == pytest.approx(12, abs=0.01)
    assert not series.read().grid.is_orthonormal


def test_headers_of_a_series_are_checked_before_its_pixels(tmp_path, patient):
    pair = patient[0]
    study = Study(tmp_path / "sound")
    study.series(pair.native, pair.grid, "Abdomen nativ", RescaleType="HU")
    assert check_ct_series(study.folder) == SeriesCheck("native", ())
    odd = Study(tmp_path / "odd")
    kind = ["DERIVED", "SECONDARY", "AXIAL"]
    odd.series(pair.native, pair.grid, "Iodine map", RescaleType="US", ImageType=kind)
    found = check_ct_series(odd.folder)
    assert found.phase == "" and len(found.warnings) == 3
    for words in ("dual-energy", "the unit US", "derived series"):
        assert any(words in warning for warning in found.warnings)
    other = Study(tmp_path / "mr")
    other.other_modality(pair.native, pair.grid)
    with pytest.raises(ImageError) as refused:
        check_ct_series(other.folder)
    assert refused.value.code == "modality"


def test_scans_of_other_frames_places_and_studies_are_no_pair(tmp_path, patient):
    pair = patient[0]
    study = Study(tmp_path / "export")
    study.series(pair.native, pair.grid, "native")
    study.frame = "1.2.3"
    study.series(pair.contrast, pair.grid, "arterial")
    found, reason = select_pair(scans_of(study.folder)[0], "arterial")
    assert found is None and "different frames of reference" in reason
    affine = pair.grid.affine.copy()
    affine[2, 3] += 80.0
    other = Study(tmp_path / "other")
    other.series(pair.native, pair.grid, "native")
    other.series(pair.contrast, Grid(pair.grid.shape, affine), "arterial")
    found, reason = select_pair(scans_of(other.folder)[0], "arterial")
    assert found is None and "share 33 % of their field of view" in reason
    assert "0 portal venous" in select_pair(scans_of(other.folder)[0], "portal venous or late")[1]


def test_the_scans_most_alike_in_their_slices_are_paired(a_study, patient):
    pair = patient[0]
    thick = Grid((88, 76, 10), pair.grid.affine @ np.diag([1.0, 1, 2, 1]))
    a_study.series(pair.native[..., ::2], thick, "native 12 mm")
    scans, _ = scans_of(a_study.folder)
    found, _ = select_pair(scans, "arterial")
    assert found.native.image.grid.same_as(found.contrast.image.grid, 0.01)


def test_a_patient_is_never_on_both_sides_of_the_split():
    people = [f"p{n // 2}" for n in range(40)]
    parts = split_patients(people, 0.25)
    assert sorted(parts.values()).count("test") == 5 and len(parts) == 20
    assert split_patients(people, 0.25) == parts and split_patients(people, 0.25, seed=1) != parts
    assert set(split_patients(people, 0.0).values()) == {"train"}


def test_the_body_is_without_its_table_and_with_its_lungs(patient):
    """The table touches the body by a cable, and is as dense."""
    pair = patient[0]
    hu = pair.native.clone()
    skin = int((hu[44, :, 10] > -300).nonzero().max())  # j runs to the back
    hu[10:-10, -3:] = 60.0
    hu[44, skin:] = 60.0
    body = body_mask(Image(hu[None], pair.grid)).data[0] > 0
    lungs = torch.isin(pair.labels, torch.tensor([11, 14]))
    assert float(body[lungs].float().mean()) > 0.97
    assert float(body[(pair.labels > 0) & ~lungs].float().mean()) > 0.99
    assert skin < 70 and not body[:, -3:].any()
