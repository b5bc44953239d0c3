"""Publishing: a run replaces only what an earlier run of its task wrote."""

from __future__ import annotations

import dataclasses
import os

import pytest

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.manifest import read_manifest
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from Testing.Backend.service.conftest import content
from Testing.Backend.service.fake_tasks import FAKE


def refusal(request: Request) -> RequestError:
    with pytest.raises(RequestError) as caught:
        run(request, tasks=FAKE)
    return caught.value


@pytest.mark.parametrize("name", ["moved.nii.gz", "report.json", "pages/index.html"])
def test_a_foreign_file_with_a_results_name_is_refused_and_stays(request_for, tmp_path, name):
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    error = refusal(request_for())
    assert error.code == "output-occupied" and name in str(error)
    assert content(tmp_path / "out") == {name: b"mine"}


def test_an_input_in_the_output_folder_is_never_replaced(request_for, pair, tmp_path):
    run(request_for(), tasks=FAKE)
    before = content(tmp_path / "out")
    asked = dataclasses.replace(request_for(), inputs={**pair, "fixed": str(tmp_path / "out" / "moved.nii.gz")})
    assert refusal(asked).code == "output-occupied"
    assert content(tmp_path / "out") == before


def test_the_result_of_another_task_is_refused_before_the_computation(request_for, tmp_path):
    run(request_for(), tasks=FAKE)
    before = content(tmp_path / "out")
    asked = dataclasses.replace(request_for(manner="crash"), task="finishing")
    assert refusal(asked).code == "output-occupied"
    assert content(tmp_path / "out") == before


def test_an_altered_result_is_not_complete(request_for, tmp_path):
    run(request_for(), tasks=FAKE)
    moved = tmp_path / "out" / "moved.nii.gz"
    moved.write_bytes(moved.read_bytes()[::-1])
    assert read_manifest(tmp_path / "out") and read_manifest(tmp_path / "out", contents=True) is None
    moved.write_bytes(b"")
    assert read_manifest(tmp_path / "out") is None


def test_a_publication_that_was_killed_between_two_renames_is_mended_by_the_next(request_for, tmp_path, monkeypatch):
    run(request_for(), tasks=FAKE)
    replace = os.replace
    for steps in range(5):  # journal, two files, manifest; then none
        calls = iter(range(steps))

        def limited(source, target, calls=calls):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            replace(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", limited)
            try:
                run(request_for(), tasks=FAKE)
            except KeyboardInterrupt:
                assert steps < 4
        run(request_for(), tasks=FAKE)
        assert set(content(tmp_path / "out")) == {"moved.nii.gz", "pages/index.html", "report.json"}


def test_an_output_folder_that_is_a_link_to_nothing_is_refused(request_for, tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "unplugged")
    assert refusal(request_for()).code == "output-dangling"
