"""Files that no registration can use, through the whole command line: each is refused before any work is done, in one
plain message, with exit code 2, and leaves nothing; in a batch it fails its row and no other.

All files of this module are made small here. One batch runs the whole list, so that its cost is that of one process.
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

from SlicerSynthReg.space.grid import Grid
from Testing.Backend.door.conftest import PATIENT, content, synthreg
from Testing.Backend.volume.test_dicom import PATIENT as DICOM_PATIENT
from Testing.Backend.volume.test_dicom import Scanner

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


def scanner(folder: Path) -> Scanner:
    return Scanner(folder, Grid((11, 13, 6), np.diag([1.5, -1.5, 3.0, 1.0])))


def missing_slice(folder: Path) -> None:
    made = scanner(folder)
    for k in (0, 1, 2, 4, 5):
        made.slice(k)


def two_series(folder: Path) -> None:
    made = scanner(folder).all()
    made.series = generate_uid()
    for k in range(3):
        made.slice(k, f"again/{k}", SeriesNumber=6)


def mixed_series(folder: Path) -> None:
    scanner(folder).all().slice(0, "scout", ImageOrientationPatient=["1", "0", "0", "0", "0", "-1"])


def no_images(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")


class Bad(NamedTuple):
    """suffix: of the file's name, none for a folder. found, remedy: words of the message. parameter: what the message
    offers, as the option and as the column of that name."""

    suffix: str
    make: Callable[[Path], None]
    found: str
    remedy: str
    parameter: str = ""


BAD = {
    "nowhere": Bad(".nii.gz", lambda path: None, "Found nothing at the path of the input moving", "Check the path"),
    "geometry": Bad(".nii.gz", without_geometry, "neither sform nor qform", "original DICOM", "assume_geometry"),
    "nrrd": Bad(".nrrd", plain_nrrd, "an NRRD without 'space'", "original DICOM", "assume_geometry"),
    "singular": Bad(".nii", lambda p: patched(p, SROW_Z, 0, 0, 0, 0), "Found a singular affine", "Repair the header"),
    "nanaffine": Bad(".nii", lambda p: patched(p, SROW_X, np.nan), "Found NaN or infinite numbers", "the header"),
    "unit": Bad(".nii", lambda p: patched(p, SROW_X, 2e3), "Found voxels of 2e+03 x 2 x 2 mm", "Repair the header"),
    "counts": Bad(".nii", lambda p: patched(p, 42, -5, code="h"), "Found -5 x 18 x 16 voxels", "Repair the header"),
    "frames": Bad(".nii.gz", lambda p: nifti(p, np.stack([blob()] * 3, -1)), "Found 3 frames", "Save", "moving_frame"),
    "nan": Bad(".nii.gz", with_nan, "Found 2 of 5760 voxels that are NaN", "Repair the image", "replace_nonfinite"),
    "constant": Bad(".nii.gz", lambda p: nifti(p, blob() * 0 + 7), "(every voxel is 7)", "Check the export"),
    "slice": Bad(".nii.gz", lambda p: nifti(p, blob()[:, :, :1]), "Found a single slice (20 x 18 x 1", "whole series"),
    "huge": Bad(".nii", lambda p: patched(p, 42, 20000, 20000, 2000, code="h"), "GB to read", "Crop or downsample"),
    "colour": Bad(".nii.gz", lambda p: nifti(p, np.zeros(SHAPE, RGB)), "expected real numbers", "Convert"),
    "text": Bad(".nii.gz", lambda p: p.write_text("hello\n" * 50), "cannot be decoded", "export it again"),
    "half": Bad(".nii.gz", half_of_a_file, "cannot be decoded", "truncated"),
    "empty": Bad(".nii.gz", lambda p: p.write_bytes(b""), "cannot be decoded", "export it again"),
    "png": Bad(".nii", picture, "cannot be decoded", "of another type under this name"),
    "photo": Bad(".png", picture, "Found a file of another type", "Convert it"),
    "gap": Bad("", missing_slice, "Found uneven slice spacing: 6.00 mm", "Fetch the missing", "interpolate_gaps"),
    "twoseries": Bad("", two_series, "Found 2 series (5: MR, 6 slices", "Keep one", "moving_series"),
    "mixed": Bad("", mixed_series, "Found 2 kinds of slice in one series", "Move localisers"),
    "noimages": Bad("", no_images, "Found 1 files that are not DICOM", "Choose another folder"),
}
VALUES = {"moving_frame": "0", "replace_nonfinite": "0.0", "moving_series": "5"}
"""What the message proposes; true for the others."""


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
    said = synthreg("batch", folder / "w.csv", "--out", folder / "out", "--workers", 1)
    assert said.returncode == 1 and f"2 done, 0 skipped, {len(BAD)} failed" in said.stdout, said.stdout + said.stderr
    assert "Traceback" not in said.stderr and PATIENT not in said.stdout + said.stderr
    with open(folder / "out" / "results.csv", newline="") as stream:
        return folder / "out", {row["name"]: row for row in csv.DictReader(stream)}


def test_a_batch_goes_on_after_every_bad_file_and_leaves_nothing_of_it(results):
    out, rows = results
    assert list(rows) == ["first", *BAD, "last"]
    assert {name for name, row in rows.items() if row["status"] == "done"} == {"first", "last"}
    assert {p.name for p in out.iterdir()} == {"first", "last", "results.csv", "index.html"}
    assert not any(".synthreg-" in name or "partial" in name for name in content(out))


@pytest.mark.parametrize("name", BAD)
def test_a_row_records_what_was_found_and_what_to_do(results, name):
    bad, message = BAD[name], results[1][name]["message"]
    assert bad.found in message and "expected" in message and bad.remedy in message
    assert "Input moving" in message or name == "nowhere"
    assert ("Or write" in message) == bool(bad.parameter)
    if bad.parameter:
        value = VALUES.get(bad.parameter, "true")
        assert f"Or write {value} into a column {bad.parameter} of the worklist to " in message
    assert not any(word in message for word in (PATIENT, DICOM_PATIENT, "=True", "kind=", "read_volume", "unexpected"))


def test_the_records_of_a_batch_name_no_patient(results):
    for name, data in content(results[0]).items():
        for word in (PATIENT, DICOM_PATIENT, "ID4711", str(results[0].parent)):
            assert word.encode() not in data, f"{word} in {name}"


@pytest.mark.parametrize("name", ["geometry", "frames", "text", "gap", "twoseries"])
def test_a_person_reads_one_message_that_names_the_option(tmp_path, name):
    nifti(tmp_path / "good.nii.gz", blob())
    said = synthreg("register", tmp_path / "good.nii.gz", bad_file(tmp_path, name), "--out", tmp_path / "out")
    panel = " ".join(said.stderr.split())
    assert said.returncode == 2 and said.stdout == "" and panel.count("Found") == 1
    assert "Traceback" not in panel and PATIENT not in panel and DICOM_PATIENT not in panel
    if parameter := BAD[name].parameter:
        value = f" {VALUES[parameter]}" if parameter in VALUES else ""
        assert f"Or pass --{parameter.replace('_', '-')}{value} to " in panel
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".synthreg-*"))


def test_what_the_message_proposes_works(tmp_path):
    nifti(tmp_path / "good.nii.gz", blob())
    options = ("--moving-frame", "1", "--affine-only", "--model", "none", "--out", tmp_path / "out")
    said = synthreg("register", tmp_path / "good.nii.gz", bad_file(tmp_path, "frames"), *options)
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "out" / "report.json").is_file()


@pytest.mark.parametrize(
    ("option", "values", "words"),
    [
        ("fixed-labels", blob()[:15] > 50, "Found fixed labels on a grid of (15, 18, 16) voxels"),
        (
            "fixed-labels",
            blob() + 0.5,
            "Input fixed_labels (labels.nii.gz): Found 5760 voxels that are no whole",
        ),
        ("moving-labels", np.stack([blob() > 50] * 2, -1), "Input moving_labels (labels.nii.gz): Found 2 frames"),
        ("moving-labels", blob() > 1e9, "Found moving labels that mark nothing within the moving image"),
        ("moving-mask", blob() > 1e9, "Found an empty moving mask"),
    ],
)
def test_label_maps_that_do_not_fit(tmp_path, option, values, words):
    for name in ("fixed", "moving"):
        nifti(tmp_path / f"{name}.nii.gz", blob())
    nifti(tmp_path / "labels.nii.gz", values.astype(np.float32))
    images = (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    said = synthreg("register", *images, f"--{option}", tmp_path / "labels.nii.gz", "--out", tmp_path / "out")
    panel = " ".join(said.stderr.split())
    assert said.returncode == 2 and words in panel and "expected" in panel
    assert "frame" not in panel.split("expected")[1], "labels have no option for a frame"
    assert not (tmp_path / "out").exists()


def test_a_graphics_card_that_is_not_there_is_told_before_anything_is_read(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA card")
    for name in ("fixed", "moving"):
        (tmp_path / f"{name}.nii.gz").write_text("no image")
    images = (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    said = synthreg("register", *images, "--device", "cuda", "--out", tmp_path / "new" / "out")
    panel = " ".join(said.stderr.split())
    assert said.returncode == 2 and "expected a card that PyTorch can use for device cuda" in panel
    assert "Or pass --device auto to take a card where there is one" in panel and "decoded" not in panel
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="limits the size of files by a POSIX shell")
@pytest.mark.parametrize("blocks", [8, 64])
def test_no_room_for_the_results(tmp_path, blocks):
    """The image, the transforms, then the picture each meet the limit; an earlier result stays as it was."""
    for name in ("fixed", "moving"):
        nifti(tmp_path / f"{name}.nii.gz", np.roll(blob(), len(name), 0))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("an earlier one")
    images = (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    options = ("--affine-only", "--model", "none", "--out", tmp_path / "out")
    said = synthreg("register", *images, *options, before=f"ulimit -f {blocks}")
    panel = " ".join(said.stderr.split())
    assert said.returncode == 2 and "Found that the results in out exceed a limit" in panel, panel
    assert "Traceback" not in panel and str(tmp_path) not in panel
    assert content(tmp_path / "out") == {"report.json": b"an earlier one"}


def test_label_maps_without_a_shared_number_or_beside_their_image(tmp_path):
    nifti(tmp_path / "image.nii.gz", blob())
    nifti(tmp_path / "threes.nii.gz", (blob() > 50) * np.float32(3))
    nifti(tmp_path / "sevens.nii.gz", (blob() > 50) * np.float32(7))
    far = np.diag([2.0, 2, 2, 1])
    far[:3, 3] = 500
    nifti(tmp_path / "far.nii.gz", (blob() > 50) * np.float32(3), far)
    images = (tmp_path / "image.nii.gz",) * 2
    for moving, words in (("sevens", "(fixed: 3; moving: 7)"), ("far", "mark nothing within the moving image")):
        options = ("--fixed-labels", tmp_path / "threes.nii.gz", "--moving-labels", tmp_path / f"{moving}.nii.gz")
        said = synthreg("register", *images, *options, "--out", tmp_path / "out")
        panel = " ".join(said.stderr.split())
        assert said.returncode == 2 and words in panel and "expected" in panel
        assert not (tmp_path / "out").exists()
