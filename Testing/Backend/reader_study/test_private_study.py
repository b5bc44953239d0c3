"""A study's key is its owner's, and its images lie in its folder."""

from __future__ import annotations

import os

import pytest

from SlicerSynthReg.reader_study.make import _write_private
from SlicerSynthReg.reader_study.study import study_from_json
from Testing.Backend.refusals import refused


def test_the_key_is_readable_by_its_owner_only_and_follows_no_link(tmp_path):
    _write_private(tmp_path / "key.json", b"{}")
    if os.name == "posix":
        assert (tmp_path / "key.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "planted").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        _write_private(tmp_path / "planted", b"{}")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("file", ["../other/a.nii", "images/../../a.nii", "..\\a.nii"])
def test_an_image_outside_the_study_is_refused(file):
    case = {"token": "c", "images": [{"token": "i", "file": file, "sha256": ""}]}
    with refused("image-outside", "leads out of"):
        study_from_json({"parts": [{"name": "p", "questions": [], "cases": [case]}]})
