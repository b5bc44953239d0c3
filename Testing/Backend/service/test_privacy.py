"""What leads to a patient stays where it was: DICOM names, IDs and UIDs, and the names of folders, which exports give.

A file's base name is the user's own word for the image; reports and messages use it, without its folder.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import logging

import numpy as np
import pytest

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.request import Request, display_name
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.io.dicom_folder import PATIENT as DICOM_PATIENT
from Testing.Backend.io.dicom_folder import DicomFolder
from Testing.Backend.service.conftest import PATIENT, content
from Testing.Backend.service.fake_tasks import FAKE


@pytest.fixture
def exported(tmp_path):
    """Two DICOM exports in folders named after the patient; the first holds two series."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (11, 13, 6)), indexing="ij")
    blob = (np.exp(-3 * sum(a * a for a in axes)) * 1000).astype(np.int16)
    folders = []
    for name in ("fixed", "moving"):
        made = DicomFolder(tmp_path / PATIENT / f"{PATIENT}_{name}", Grid((11, 13, 6), np.diag([4.0, -4.0, 6.0, 1.0])))
        made.values = blob if name == "fixed" else np.roll(blob, 1, 0)
        folders.append(made.write_all())
    uid, folders[0].series = str(folders[0].series), "1.2.840.99.1"
    folders[0].write(0, "scout", SeriesNumber=6)
    return {name: str(one.path) for name, one in zip(("fixed", "moving"), folders)}, uid


def test_nothing_that_a_run_makes_leads_to_the_patient(exported, tmp_path, caplog):
    inputs, uid = exported
    said = []
    parameters = {"fixed_series": uid, "model": "none", "affine_only": True}
    with caplog.at_level(logging.DEBUG):
        result = run(Request("register", inputs, str(tmp_path / "out"), parameters), lambda _, text: said.append(text))
    made = content(tmp_path / "out")
    assert {"report.json", "registration.json", "report.html", "picture.png", "forward.h5"} <= set(made)
    texts = {name: gzip.decompress(data) if name.endswith(".gz") else data for name, data in made.items()}
    texts |= {"result": json.dumps(result.report).encode(), "progress": " ".join(said).encode()}
    texts |= {"log": caplog.text.encode(), "names": " ".join(made).encode()}
    for word in (PATIENT, DICOM_PATIENT, "Meier", "ID4711", uid, str(tmp_path)):
        for name, data in texts.items():
            assert word.encode() not in data, f"{word} in {name}"
    manifest = json.loads(made["report.json"])
    assert manifest["inputs"] == {"fixed": "DICOM folder", "moving": "DICOM folder"}
    parameters = manifest["parameters"]
    assert parameters["fixed_series"] == "given, not recorded" and parameters["moving_series"] is None


def test_the_refusal_of_a_series_names_no_uid(exported, tmp_path):
    inputs, uid = exported
    with pytest.raises(RequestError) as caught:
        run(Request("register", inputs, str(tmp_path / "out")))
    assert caught.value.code == "series-ambiguous" and caught.value.suggestion.parameter == "fixed_series"
    assert not any(word in str(caught.value) for word in (uid, "1.2.840", PATIENT, DICOM_PATIENT))


def test_a_path_of_a_stranger_in_a_message_loses_its_folders(request_for, tmp_path):
    """Such as the data file that a header names: it lies beside the input, in the patient's folder."""
    request = request_for()
    beside = tmp_path / PATIENT / "voxels.raw"

    def task(*_):
        raise RequestError(f"Found no file {beside}, expected it beside {request.inputs['fixed']}. Copy it there.")

    tasks = {"register": dataclasses.replace(FAKE["register"], load=lambda: task)}
    with pytest.raises(RequestError) as caught:
        run(request, tasks=tasks)
    assert str(caught.value) == (
        "Found no file <folder of moving>/voxels.raw, expected it beside fixed.nii.gz. Copy it there."
    )


def test_a_folder_that_is_gone_is_not_named_but_a_file_is(tmp_path):
    for role, name, words in (("fixed", PATIENT, "input fixed, expected"), ("moving", "T1.nii", "moving (T1.nii)")):
        with pytest.raises(RequestError) as caught:
            run(Request("register", {role: str(tmp_path / name)}, str(tmp_path / "out")))
        assert words in str(caught.value) and PATIENT not in str(caught.value)


def test_a_folder_is_displayed_without_its_name(tmp_path):
    (tmp_path / PATIENT).mkdir()
    assert display_name(tmp_path / PATIENT) == "DICOM folder" and display_name(f"{tmp_path}/T1.nii.gz") == "T1.nii.gz"
