"""Worklists from folders: images, row names, parameters."""

from __future__ import annotations

import pytest

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.service.cohort import read_cohort


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


def test_a_bids_data_set_gives_its_scans(a_folder):
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


def test_files_of_one_name_are_named_by_their_folders(a_folder):
    folder = a_folder("anna/t1.nii.gz", "bert/t1.nii.gz", "bert/#2.nrrd", ".hidden/t1.nii.gz")
    assert set(rows(read_cohort(folder, "healthy"))) == {"anna_t1", "bert_t1", "bert__2"}


def test_a_folder_of_dicom_series_gives_the_folders(a_folder):
    folder = a_folder("p1/ct/1.dcm", "p1/ct/2.dcm", "p2/mr/1.dcm", "p2/notes.txt")
    assert rows(read_cohort(folder, "healthy")) == {"ct": "p1/ct", "mr": "p2/mr"}


def test_the_folder_of_results_is_excluded(a_folder):
    folder = a_folder("a.nii.gz", "results/a/healthy.nii.gz")
    assert rows(read_cohort(folder, "healthy", exclude=folder / "results")) == {"a": "a.nii.gz"}


def test_a_parameter_is_added_to_every_row(a_folder, tmp_path):
    worklist = read_cohort(a_folder("a.nii", "b.nii"), "healthy").with_parameters(["grid=input", "threshold=0.3"])
    for row in worklist.rows:
        request = worklist.request(row, tmp_path / "out")
        assert request.parameters == {"grid": "input", "threshold": 0.3}
        assert request.inputs["image"].endswith(f"cohort/{row.name}.nii")
    with pytest.raises(RequestError) as caught:
        worklist.with_parameters(["girth=input"])
    assert caught.value.code == "unknown-parameter"


def test_a_folder_without_images_and_a_task_of_two_images_are_refused(a_folder):
    for files, task, code in (
        (("readme.txt",), "healthy", "cohort-empty"),
        (("a.nii",), "register", "cohort-needs-worklist"),
    ):
        with pytest.raises(RequestError) as caught:
            read_cohort(a_folder(*files), task)
        assert caught.value.code == code
