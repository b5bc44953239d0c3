"""A worklist made from a folder: which images, under which names, with which settings."""

from __future__ import annotations

import pytest

from SlicerSynthReg.cohort import read_cohort, with_settings
from SlicerSynthReg.request import RequestError


@pytest.fixture
def a_folder(tmp_path):
    def build(*files: str):
        for name in files:
            path = tmp_path / "cohort" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\0" * 128 + b"DICM" if name.endswith("dcm") else b"")
        return tmp_path / "cohort"

    return build


def rows(worklist) -> dict[str, str]:
    return {row.name: row.cells["image"] for row in worklist.rows}


def test_a_bids_data_set_gives_its_scans_under_their_own_names(a_folder):
    folder = a_folder(
        "dataset_description.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w_defacemask.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_FLAIR.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_dseg.nii.gz",
        "sub-02/ses-b/ct/sub-02_ses-b_ct.nii",
        "derivatives/other/sub-01/anat/sub-01_T1w.nii.gz",
    )
    assert rows(read_cohort(folder, "healthy")) == {
        "sub-01_T1w": "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02_ses-a_FLAIR": "sub-02/ses-a/anat/sub-02_ses-a_FLAIR.nii.gz",
        "sub-02_ses-b_ct": "sub-02/ses-b/ct/sub-02_ses-b_ct.nii",
    }
    assert list(rows(read_cohort(folder, "healthy", "sub-*/**/*_FLAIR.nii.gz"))) == ["sub-02_ses-a_FLAIR"]


def test_files_of_one_name_are_told_apart_by_their_folders(a_folder):
    folder = a_folder("anna/t1.nii.gz", "bert/t1.nii.gz", "bert/#2.nrrd", ".hidden/t1.nii.gz")
    assert set(rows(read_cohort(folder, "healthy"))) == {"anna_t1", "bert_t1", "bert__2"}


def test_a_folder_of_dicom_series_gives_the_folders(a_folder):
    folder = a_folder("p1/ct/1.dcm", "p1/ct/2.dcm", "p2/mr/1.dcm", "p2/notes.txt")
    assert rows(read_cohort(folder, "healthy")) == {"ct": "p1/ct", "mr": "p2/mr"}


def test_results_in_the_folder_are_no_images_of_the_next_run(a_folder):
    folder = a_folder("a.nii.gz", "results/a/healthy.nii.gz")
    assert rows(read_cohort(folder, "healthy", without=folder / "results")) == {"a": "a.nii.gz"}


def test_a_setting_holds_for_every_row(a_folder, tmp_path):
    worklist = with_settings(read_cohort(a_folder("a.nii", "b.nii"), "healthy"), ["grid=input", "threshold=0.3"])
    for row in worklist.rows:
        request = worklist.request(row, tmp_path / "out")
        assert request.parameters == {"grid": "input", "threshold": 0.3}
        assert request.inputs["image"].endswith(f"cohort/{row.name}.nii")
    with pytest.raises(RequestError, match="Found the setting 'girth', expected name=value with one of model, grid"):
        with_settings(worklist, ["girth=input"])


def test_what_is_no_cohort_is_refused(a_folder):
    with pytest.raises(RequestError, match="Found no image in the folder cohort"):
        read_cohort(a_folder("readme.txt"), "healthy")
    with pytest.raises(RequestError, match="register, which needs fixed, moving; expected a worklist"):
        read_cohort(a_folder("a.nii"), "register")
