"""Unusable input files through the command line: each is refused before any work with one message, its error code and
exit code 2, and leaves no file; in a batch it fails only its own row.

The files are created here, small. One batch runs the whole list in one process.
"""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from typing import Callable, NamedTuple

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid

from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.io.dicom_folder import PATIENT as DICOM_PATIENT
from Testing.Backend.io.dicom_folder import DicomFolder
from Testing.Backend.service.conftest import PATIENT, content, synthreg

SHAPE = (20, 18, 16)
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
PIXDIM, QFORM_CODE, SROW_X, SROW_Z = 80, 252, 280, 312
"""Offsets in a NIfTI-1 header."""


def blob() -> np.ndarray:
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return (np.exp(-3 * sum(a * a for a in axes)) * 100).astype(np.float32)


def nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2, 2, 1]) if affine is None else affine), path)


def patched(path: Path, offset: int, *numbers: float, code: str = "f") -> None:
    """A whole NIfTI file whose header says `numbers` at `offset`."""
    data = bytearray(nibabel.Nifti1Image(blob(), np.diag([2.0, 2, 2, 1])).to_bytes())
    struct.pack_into(f"<{len(numbers)}{code}", data, offset, *numbers)
    path.write_bytes(data)


def without_geometry(path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.float32)
    nibabel.save(nibabel.Nifti1Image(blob(), None, header), path)


def plain_nrrd(path: Path) -> None:
    head = f"NRRD0004\ntype: float\ndimension: 3\nsizes: {' '.join(map(str, SHAPE))}\nencoding: raw\nendian: little\n\n"
    path.write_bytes(head.encode() + blob().tobytes())


def half_of_a_file(path: Path) -> None:
    nifti(path, blob())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def with_nan(path: Path) -> None:
    values = blob()
    values[3, 3, 3], values[4, 4, 4] = np.nan, np.inf
    nifti(path, values)


def picture(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9), np.uint8)), path.with_suffix(".png"))
    path.with_suffix(".png").rename(path)


def dicom_folder(folder: Path) -> DicomFolder:
    return DicomFolder(folder, Grid((11, 13, 6), np.diag([1.5, -1.5, 3.0, 1.0])))


def missing_slice(folder: Path) -> None:
    made = dicom_folder(folder)
    for k in (0, 1, 2, 4, 5):
        made.write(k)


def two_series(folder: Path) -> None:
    made = dicom_folder(folder).write_all()
    made.series = generate_uid()
    for k in range(3):
        made.write(k, f"again/{k}", SeriesNumber=6)


def mixed_series(folder: Path) -> None:
    dicom_folder(folder).write_all().write(0, "scout", ImageOrientationPatient=["1", "0", "0", "0", "0", "-1"])


def no_images(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")


class Bad(NamedTuple):
    """One unusable input. suffix: of the file name, "" for a folder. found: measured values in the message. parameter:
    suggested, as an option and as a column of that name."""

    suffix: str
    make: Callable[[Path], None]
    code: str
    parameter: str = ""
    found: str = ""


BAD = {
    "nowhere": Bad(".nii.gz", lambda path: None, "path-missing"),
    "geometry": Bad(".nii.gz", without_geometry, "geometry-missing", "assume_geometry"),
    "nrrd": Bad(".nrrd", plain_nrrd, "geometry-missing", "assume_geometry"),
    "singular": Bad(".nii", lambda p: patched(p, SROW_Z, 0, 0, 0, 0), "header-affine"),
    "nanaffine": Bad(".nii", lambda p: patched(p, SROW_X, np.nan), "header-affine"),
    "unit": Bad(".nii", lambda p: patched(p, SROW_X, 2e3), "header-spacing", found="2e+03 x 2 x 2 mm"),
    "counts": Bad(".nii", lambda p: patched(p, 42, -5, code="h"), "header-shape", found="-5 x 18 x 16"),
    "frames": Bad(
        ".nii.gz", lambda p: nifti(p, np.stack([blob()] * 3, -1)), "frame-ambiguous", "moving_frame", "3 frames"
    ),
    "nan": Bad(".nii.gz", with_nan, "nonfinite", "replace_nonfinite", "2 of 5760 voxels"),
    "constant": Bad(".nii.gz", lambda p: nifti(p, blob() * 0 + 7), "constant-image", found="every voxel is 7"),
    "slice": Bad(".nii.gz", lambda p: nifti(p, blob()[:, :, :1]), "single-slice", found="20 x 18 x 1"),
    "huge": Bad(".nii", lambda p: patched(p, 42, 20000, 20000, 2000, code="h"), "memory", found="GB"),
    "colour": Bad(".nii.gz", lambda p: nifti(p, np.zeros(SHAPE, RGB)), "voxel-type"),
    "text": Bad(".nii.gz", lambda p: p.write_text("hello\n" * 50), "decoding"),
    "half": Bad(".nii.gz", half_of_a_file, "decoding"),
    "empty": Bad(".nii.gz", lambda p: p.write_bytes(b""), "decoding"),
    "png": Bad(".nii", picture, "decoding"),
    "photo": Bad(".png", picture, "file-type"),
    "gap": Bad("", missing_slice, "slice-spacing", "interpolate_gaps", "6.00 mm"),
    "twoseries": Bad("", two_series, "series-ambiguous", "moving_series", "(5: MR, 6 slices"),
    "mixed": Bad("", mixed_series, "series-ambiguous", "moving_series", "5.1: MR, 6 slices"),
    "noimages": Bad("", no_images, "dicom-missing", found="1 files"),
}
VALUES = {"frames": "0", "nan": "0.0", "twoseries": "5", "mixed": "5.1"}
"""Suggested values; true for all others."""


def bad_file(folder: Path, name: str) -> Path:
    """In a folder named like a patient, as exports are, and itself named so where it is a folder."""
    one = BAD[name]
    path = folder / PATIENT / (f"{name}{one.suffix}" if one.suffix else f"{PATIENT}_{name}")
    path.parent.mkdir(exist_ok=True)
    one.make(path)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> tuple[Path, dict[str, dict[str, str]]]:
    """One batch of all bad files with a good row at each end: its folder, and results.csv by row."""
    folder = tmp_path_factory.mktemp("batch")
    nifti(folder / "good.nii.gz", blob())
    nifti(folder / "other.nii.gz", np.roll(blob(), 1, 0))
    rows = [f"{name},good.nii.gz,{bad_file(folder, name).relative_to(folder)}" for name in BAD]
    good = "good.nii.gz,other.nii.gz"
    (folder / "w.csv").write_text("\n".join(["name,fixed,moving", f"first,{good}", *rows, f"last,{good}", ""]))
    result = synthreg("batch", folder / "w.csv", "--out", folder / "out", "--workers", 1)
    assert result.returncode == 1 and f"2 done, 0 skipped, {len(BAD)} failed" in result.stdout, (
        result.stdout + result.stderr
    )
    assert "Traceback" not in result.stderr and PATIENT not in result.stdout + result.stderr
    with open(folder / "out" / "results.csv", newline="") as stream:
        return folder / "out", {row["name"]: row for row in csv.DictReader(stream)}


def test_a_batch_goes_on_after_every_bad_file_and_leaves_nothing_of_it(results):
    out, rows = results
    assert list(rows) == ["first", *BAD, "last"]
    assert {name for name, row in rows.items() if row["status"] == "done"} == {"first", "last"}
    assert {p.name for p in out.iterdir()} == {"first", "last", "results.csv", "index.html"}
    assert not any(".synthreg-" in name or "partial" in name for name in content(out))


@pytest.mark.parametrize("name", BAD)
def test_a_row_records_code_finding_and_suggestion(results, name):
    bad, row = BAD[name], results[1][name]
    message = row["message"]
    assert row["code"] == bad.code
    assert "Found" in message and bad.found in message and "expected" in message
    assert "Input moving" in message or name == "nowhere"
    assert ("Or write" in message) == bool(bad.parameter)
    if bad.parameter:
        value = VALUES.get(name, "true")
        assert f"Or write {value} into a column {bad.parameter} of the worklist to " in message
    assert not any(word in message for word in (PATIENT, DICOM_PATIENT, "=True", "kind=", "read_volume", "unexpected"))


def test_the_records_of_a_batch_name_no_patient(results):
    for name, data in content(results[0]).items():
        for word in (PATIENT, DICOM_PATIENT, "ID4711", str(results[0].parent)):
            assert word.encode() not in data, f"{word} in {name}"


@pytest.mark.parametrize("name", ["geometry", "frames", "text", "gap", "twoseries"])
def test_a_person_reads_one_message_that_names_the_option(tmp_path, name):
    nifti(tmp_path / "good.nii.gz", blob())
    result = synthreg("register", tmp_path / "good.nii.gz", bad_file(tmp_path, name), "--out", tmp_path / "out")
    panel = " ".join(result.stderr.split())
    assert result.returncode == 2 and result.stdout == "" and panel.count("Found") == 1
    assert f"Error: {BAD[name].code}" in panel
    assert "Traceback" not in panel and PATIENT not in panel and DICOM_PATIENT not in panel
    if parameter := BAD[name].parameter:
        value = f" {VALUES[name]}" if name in VALUES else ""
        assert f"Or pass --{parameter.replace('_', '-')}{value} to " in panel
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".synthreg-*"))


@pytest.mark.slow
def test_the_suggested_parameter_works(tmp_path):
    nifti(tmp_path / "good.nii.gz", blob())
    options = ("--moving-frame", "1", "--affine-only", "--model", "none", "--out", tmp_path / "out")
    result = synthreg("register", tmp_path / "good.nii.gz", bad_file(tmp_path, "frames"), *options)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "report.json").is_file()


@pytest.mark.parametrize(
    ("option", "values", "code"),
    [
        ("fixed-labels", blob()[:15] > 50, "grid-mismatch"),
        ("fixed-labels", blob() + 0.5, "label-values"),
        ("moving-labels", np.stack([blob() > 50] * 2, -1), "frame-ambiguous"),
        ("moving-labels", blob() > 1e9, "labels-outside"),
        ("moving-mask", blob() > 1e9, "mask-empty"),
    ],
)
def test_label_maps_that_do_not_fit(tmp_path, option, values, code):
    for name in ("fixed", "moving"):
        nifti(tmp_path / f"{name}.nii.gz", blob())
    nifti(tmp_path / "labels.nii.gz", values.astype(np.float32))
    images = (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    result = synthreg("register", *images, f"--{option}", tmp_path / "labels.nii.gz", "--out", tmp_path / "out")
    panel = " ".join(result.stderr.split())
    assert result.returncode == 2 and f"Error: {code}" in panel and "expected" in panel, panel
    assert "Or pass" not in panel, "labels have no parameter that would help"
    assert not (tmp_path / "out").exists()


def test_a_missing_graphics_card_is_reported_before_any_file_is_read(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA card")
    for name in ("fixed", "moving"):
        (tmp_path / f"{name}.nii.gz").write_text("no image")
    images = (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    result = synthreg("register", *images, "--device", "cuda", "--out", tmp_path / "new" / "out")
    panel = " ".join(result.stderr.split())
    assert result.returncode == 2 and "Error: device-unavailable" in panel and "Or pass --device auto to" in panel
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="limits the size of files by a POSIX shell")
@pytest.mark.parametrize("blocks", [8, 64])
def test_no_room_for_the_results(tmp_path, blocks):
    """The image, the transforms, then the picture each meet the limit; what lies in the folder stays as it was."""
    for name in ("fixed", "moving"):
        nifti(tmp_path / f"{name}.nii.gz", np.roll(blob(), len(name), 0))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("an earlier one")
    images = (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    options = ("--affine-only", "--model", "none", "--out", tmp_path / "out")
    result = synthreg("register", *images, *options, before=f"ulimit -f {blocks}")
    panel = " ".join(result.stderr.split())
    assert result.returncode == 2 and "Error: disk-limit" in panel, panel
    assert "Traceback" not in panel and str(tmp_path) not in panel
    assert content(tmp_path / "out") == {"notes.txt": b"an earlier one"}


@pytest.mark.slow
def test_label_maps_without_a_shared_number_or_beside_their_image(tmp_path):
    nifti(tmp_path / "image.nii.gz", blob())
    nifti(tmp_path / "threes.nii.gz", (blob() > 50) * np.float32(3))
    nifti(tmp_path / "sevens.nii.gz", (blob() > 50) * np.float32(7))
    far = np.diag([2.0, 2, 2, 1])
    far[:3, 3] = 500
    nifti(tmp_path / "far.nii.gz", (blob() > 50) * np.float32(3), far)
    images = (tmp_path / "image.nii.gz",) * 2
    for moving, code in (("sevens", "labels-disjoint"), ("far", "labels-outside")):
        options = ("--fixed-labels", tmp_path / "threes.nii.gz", "--moving-labels", tmp_path / f"{moving}.nii.gz")
        result = synthreg("register", *images, *options, "--out", tmp_path / "out")
        panel = " ".join(result.stderr.split())
        assert result.returncode == 2 and f"Error: {code}" in panel, panel
        assert not (tmp_path / "out").exists()
