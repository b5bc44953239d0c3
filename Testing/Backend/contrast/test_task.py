from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from SlicerSynthReg.cli.main import app
from SlicerSynthReg.contrast.inputs import phase_warnings
from SlicerSynthReg.errors import Cancelled, RequestError
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.metrics.ct_check import CTCheck
from SlicerSynthReg.parameters.derived_images import SOLVERS
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.ode import METHODS
from Testing.Backend.refusals import refused


def made(image: Path, out: Path, **parameters: object) -> Result:
    inputs = {name: str(parameters.pop(name)) for name in ("labels", "truth") if name in parameters}
    return run(Request("contrast", {"image": str(image), **inputs}, str(out), {"threads": 1, **parameters}))


def hu(path: str | Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj, dtype=np.float32)


def test_the_other_kind_lies_on_the_scans_grid_is_marked_and_shifted_as_the_field_says(
    an_installed_model, a_ct, tmp_path
):
    an_installed_model(velocity=0.05)
    for phase, shift in (("arterial", 50), ("native", -50)):
        found = made(a_ct, tmp_path / phase, target_phase=phase)
        image = nibabel.load(found.outputs["image"])
        assert np.allclose(image.affine, nibabel.load(a_ct).affine)
        assert image.header["descrip"].item().decode().startswith("synthetic/derived")
        assert np.allclose((hu(found.outputs["image"]) - hu(a_ct))[8:32, 10:26], shift, atol=0.1)
        assert hu(found.outputs["cycle"]).max() < 0.1
        assert found.report["change"]["body_hu"] == pytest.approx(50, abs=0.1)
        assert found.report["change"]["unenhanced_hu"] == pytest.approx(
            {"fat": 50, "dense bone": 50, "air": 0}, abs=0.1
        )
        assert found.report["boundaries"]["shift_mm"] < 0.2
        assert found.report["network"]["nfe"] == 2 and found.report["network"]["pixels"] == [34, 26]


def test_the_error_against_the_true_image_is_reported_beside_the_untouched_scans(an_installed_model, a_ct, tmp_path):
    an_installed_model(velocity=0.05)
    source = nibabel.load(a_ct)
    true = hu(a_ct)
    true[...] += 80
    nibabel.save(nibabel.Nifti1Image(true, source.affine), tmp_path / "true.nii.gz")
    found = made(a_ct, tmp_path / "out", target_phase="arterial", truth=tmp_path / "true.nii.gz", cycle=False)
    assert found.report["reference"]["MAE, HU, input"] == pytest.approx(80, abs=0.5)
    assert found.report["reference"]["MAE, HU"] < 60 and "cycle" not in found.outputs
    assert found.report["change"]["cycle_hu"] is None


def test_organs_are_listed_before_after_and_in_the_true_image(an_installed_model, a_ct, tmp_path):
    an_installed_model(velocity=0.05)
    source = nibabel.load(a_ct)
    labels = np.zeros((40, 36, 9), dtype=np.uint8)
    labels[11:19, 13:23], labels[25:27, 17:19] = 5, 52
    nibabel.save(nibabel.Nifti1Image(labels, source.affine), tmp_path / "labels.nii.gz")
    nibabel.save(nibabel.Nifti1Image(hu(a_ct) + 70, source.affine), tmp_path / "true.nii.gz")
    given = {"labels": tmp_path / "labels.nii.gz", "truth": tmp_path / "true.nii.gz"}
    organs = made(a_ct, tmp_path / "out", target_phase="arterial", cycle=False, **given).report["organs"]
    assert [one["name"] for one in organs] == ["liver", "aorta"]
    for one in organs:
        assert one["after"] - one["before"] == pytest.approx(50, abs=0.1)
        assert one["reference"] - one["before"] == pytest.approx(70, abs=0.1)
    preview = made(a_ct, tmp_path / "one", target_phase="arterial", cycle=False, slice=4, **given).report["organs"]
    assert preview[0]["voxels"] * 9 == organs[0]["voxels"]


def test_a_preview_is_the_slice_that_the_whole_will_have(an_installed_model, a_ct, tmp_path):
    """A network that mixes neighbours and normalises over the slice: the preview must see all that the whole does."""
    an_installed_model(wild=0.2, neighbours=1)
    whole = made(a_ct, tmp_path / "whole", target_phase="arterial", solver="heun", steps=1)
    preview = made(a_ct, tmp_path / "preview", target_phase="arterial", solver="heun", steps=1, slice=6)
    one, image = (nibabel.load(result.outputs["image"]) for result in (preview, whole))
    assert one.shape == (40, 36, 1) and np.allclose(one.affine[:3, 3], image.affine[:3] @ [0, 0, 5, 1])
    assert np.allclose(hu(preview.outputs["image"])[..., 0], hu(whole.outputs["image"])[..., 5], atol=1e-2)
    assert np.allclose(hu(preview.outputs["cycle"])[..., 0], hu(whole.outputs["cycle"])[..., 5], atol=1e-2)
    assert not np.allclose(hu(whole.outputs["image"])[..., 5] - hu(a_ct)[..., 5], 50, atol=5)


def test_page_and_record_say_synthetic_phantoms_and_no_patients_folder(an_installed_model, a_ct, tmp_path):
    an_installed_model()
    found = made(a_ct, tmp_path / "out", solver="rk3", steps=2)
    page = Path(found.outputs["page"]).read_text(encoding="utf-8")
    for words in (
        "Synthetic native CT",
        "not validated on patients",
        "Not a scan of the patient",
        "cycle error",
        "rk3",
    ):
        assert words in page
    assert str(tmp_path) not in page and "data:image/png" in page
    record = json.loads(Path(found.outputs["record"]).read_text())
    assert record["network"]["nfe"] == 6 and record["run"]["parameters"]["steps"] == 2
    assert "series" not in record["run"]["parameters"]


def test_without_a_model_the_message_says_how_to_get_one(a_ct, tmp_path, monkeypatch):
    from SlicerSynthReg.weights import selection

    monkeypatch.setattr(selection, "available", list)
    with refused("model-missing", "`synthreg train contrast`"):
        made(a_ct, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_of_one_direction_refuses_the_other(an_installed_model, a_ct, tmp_path):
    an_installed_model("regression-native", method="regression", target_phase="native")
    with pytest.raises(RequestError) as refused:
        made(a_ct, tmp_path / "out", target_phase="arterial", model="regression-native")
    assert refused.value.code == "target-phase"
    assert made(a_ct, tmp_path / "out", target_phase="native", model="regression-native").report["network"]["nfe"] == 1


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"slice": 10}, "Found slice = 10 for an image of 9 axial slices, expected 1 to 9"),
        ({"solver": "rk5"}, "Found solver = 'rk5', expected one of euler"),
        ({"steps": 0}, "Found steps = 0"),
        ({"target_phase": "venous"}, "Found target_phase = 'venous', expected one of native, arterial"),
    ],
)
def test_what_cannot_be_is_refused(an_installed_model, a_ct, tmp_path, parameters, message):
    an_installed_model()
    with pytest.raises(RequestError, match=message):
        made(a_ct, tmp_path / "out", **parameters)
    assert not (tmp_path / "out").exists()


def test_an_mr_and_a_shifted_ct_are_refused_before_anything_is_made(an_installed_model, a_ct, tmp_path):
    an_installed_model()
    source = nibabel.load(a_ct)
    for name, values, told in (
        ("mr", np.abs(hu(a_ct)) / 3 + 5, "Is this an MR or another modality"),
        ("shifted", hu(a_ct) + 1024, "shifted by 1024"),
        ("picture", (hu(a_ct) > -500) * 255.0, "grey values of a picture"),
    ):
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), source.affine), path)
        with pytest.raises(RequestError, match=rf"Input image \({name}.nii.gz\): Found .*{told}"):
            made(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_dicom_in_a_derived_series_out(an_installed_model, a_dicom_ct, tmp_path):
    import pydicom

    an_installed_model(velocity=0.05)
    found = made(a_dicom_ct, tmp_path / "out", target_phase="arterial", dicom=True)
    files = sorted(Path(found.outputs["dicom"]).parent.glob("*.dcm"))
    sources = [pydicom.dcmread(path) for path in sorted(a_dicom_ct.iterdir())]
    results = [pydicom.dcmread(path) for path in files]
    assert len(results) == len(sources)
    assert {str(one.SeriesInstanceUID) for one in results}.isdisjoint({str(one.SeriesInstanceUID) for one in sources})
    for result in results:
        assert result.ImageType[0] == "DERIVED" and result.SeriesDescription.startswith("SYNTHETIC")
        refers = result.SourceImageSequence[0].ReferencedSOPInstanceUID
        source = next(one for one in sources if one.SOPInstanceUID == refers)
        change = result.pixel_array.astype(float) - (source.pixel_array.astype(float) - 1024)
        assert np.median(change[8:28, 8:28]) == 50


def test_a_result_becomes_a_series_later_and_only_on_its_sources_slices(an_installed_model, a_dicom_ct, a_ct, tmp_path):
    """As Slicer's panel does, which holds the result and not the folder."""
    import pydicom

    an_installed_model()
    image = made(a_dicom_ct, tmp_path / "out", target_phase="arterial").outputs["image"]
    words = ["export", image, str(a_dicom_ct), "--description", "contrast CT by a test", "-o", str(tmp_path / "new")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    files = sorted((tmp_path / "new" / "dicom").glob("*.dcm"))
    again = read_image(files[0].parent)
    np.testing.assert_allclose(again.data[0].numpy(), np.clip(hu(image), -1024, 3071), atol=0.51)
    assert pydicom.dcmread(files[0]).SeriesDescription.startswith("SYNTHETIC contrast CT by a test")
    request = Request("export", {"image": str(a_ct), "source": str(a_dicom_ct)}, str(tmp_path / "moved"))
    nibabel.save(nibabel.Nifti1Image(hu(image), np.diag([-4.0, -4.0, 4.0, 1.0])), a_ct)
    with pytest.raises(RequestError, match="does not lie on the slices of the source series"):
        run(request)
    assert not (tmp_path / "moved").exists()


def test_what_the_result_looks_like_is_told_and_a_preview_has_no_page(an_installed_model, a_ct, tmp_path):
    an_installed_model(velocity=0.0)
    values, aorta = hu(a_ct), np.zeros((40, 36, 9), np.uint8)
    aorta[24:28, 16:20] = 52
    values[aorta > 0] = 300
    affine = nibabel.load(a_ct).affine
    nibabel.save(nibabel.Nifti1Image(values, affine), a_ct)
    nibabel.save(nibabel.Nifti1Image(aorta, affine), tmp_path / "labels.nii.gz")
    whole = made(a_ct, tmp_path / "whole", target_phase="native", labels=tmp_path / "labels.nii.gz")
    assert whole.report["phase"] == {"input": "contrast", "output": "contrast"}  # nothing was changed
    assert "review the aorta" in Path(whole.outputs["page"]).read_text()
    preview = made(a_ct, tmp_path / "preview", target_phase="native", slice=3)
    assert "page" not in preview.outputs and preview.report["phase"]["output"] == "unknown"


def test_the_headers_of_a_series_are_heard(an_installed_model, a_dicom_ct, tmp_path):
    import pydicom

    an_installed_model()
    paths = sorted(a_dicom_ct.iterdir())
    for path in paths:
        one = pydicom.dcmread(path)
        one.SeriesDescription, one.ImageType = "Abdomen NATIV 3.0", ["DERIVED", "SECONDARY", "AXIAL"]
        one.save_as(path)
    found = made(a_dicom_ct, tmp_path / "out", target_phase="native", cycle=False)
    assert found.report["phase"]["input"] == "native"
    assert any("Found a derived series" in text for text in found.warnings)
    assert any("native CT already (according to its headers)" in text for text in found.warnings)
    for path in paths:
        one = pydicom.dcmread(path)
        one.Modality = "MR"
        one.save_as(path)
    with pytest.raises(RequestError, match=r"Input image \(DICOM folder\): Found a series of modality MR, expected CT"):
        made(a_dicom_ct, tmp_path / "mr")


@pytest.mark.parametrize("parameters", [{}, {"slice": 2}])
def test_a_derived_series_needs_a_source_series(an_installed_model, a_ct, tmp_path, parameters):
    an_installed_model()
    with pytest.raises(RequestError) as refused:
        made(a_ct, tmp_path / "out", dicom=True, **parameters)
    assert refused.value.code == "dicom-source"


def test_a_scan_already_in_the_target_phase_is_warned_of():
    native = CTCheck("native", "", 40.0, ("the labelled aorta has 40 HU",), ())
    assert "native CT already (the labelled aorta has 40 HU)" in phase_warnings(native, "native")[0]
    assert phase_warnings(native, "arterial") == []
    late = CTCheck("contrast", "portal venous or late", 140.0, ("why",), ())
    assert "expected the arterial phase" in phase_warnings(late, "native")[0]
    assert "contrast-enhanced CT already" in phase_warnings(late, "arterial")[0]


def test_cancelling_between_batches_leaves_nothing(an_installed_model, a_ct, tmp_path):
    an_installed_model()
    seen: list[str] = []

    def stop_in_the_middle(share: float, text: str) -> None:
        seen.append(text)
        if text == "synthesising native CT" and share > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(Request("contrast", {"image": str(a_ct)}, str(tmp_path / "out"), {"batch": 2}), stop_in_the_middle)
    assert seen.count("synthesising native CT") > 1 and not (tmp_path / "out").exists()


def test_the_command_line_does_the_same(an_installed_model, a_ct, tmp_path):
    an_installed_model()
    words = [
        "contrast",
        str(a_ct),
        "--target-phase",
        "arterial",
        "--solver",
        "euler",
        "--no-cycle",
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "synthetic_arterial.nii.gz").exists() and not list(tmp_path.glob("out/cycle*"))


def test_a_worklist_of_scans_is_translated_row_by_row(an_installed_model, a_ct, tmp_path):
    an_installed_model()
    worklist = tmp_path / "list.csv"
    worklist.write_text(f"name,image,target_phase,cycle\none,{a_ct.name},arterial,no\ntwo,missing.nii.gz,native,no\n")
    words = ["batch", str(worklist), "--task", "contrast", "--out", str(tmp_path / "out"), "--workers", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1 and "1 done, 0 skipped, 1 failed" in result.output
    assert (tmp_path / "out" / "one" / "synthetic_arterial.nii.gz").exists()
    assert CliRunner().invoke(app, [*words[:3], "dance", *words[4:]]).exit_code == 2


def test_every_solver_offered_is_one_of_the_integrators():
    assert set(SOLVERS) <= set(METHODS)
