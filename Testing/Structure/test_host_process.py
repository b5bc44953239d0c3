"""The runner that gives each test file a process: what it reports of tests that pass, fail, skip, crash or never end.

The folder under test has a conftest without the host, so this needs nothing but pytest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = """
from slicerhost import process
from slicerhost.process import pytest_pycollect_makemodule
process._NEEDED = {needed}
"""


def outcome(folder: Path, tests: str, *options: str, needed: tuple[str, ...] = ()) -> str:
    """What pytest prints of `tests`."""
    (folder / "conftest.py").write_text(CONFTEST.format(needed=needed))
    (folder / "test_it.py").write_text(tests)
    paths = f"pythonpath={ROOT / 'Testing' / 'Host'}"
    command = [sys.executable, "-m", "pytest", "-rA", "-o", paths, "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run([*command, *options, str(folder)], capture_output=True, text=True, check=False, cwd=folder)
    return done.stdout + done.stderr


def test_each_function_has_its_own_line(tmp_path: Path) -> None:
    told = outcome(
        tmp_path,
        """
import pytest
def test_good(): pass
def test_bad(): assert 1 == 2
@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_in_three(n): assert n != 2
@pytest.mark.skip(reason="on Sundays")
def test_skipped(): pass
""",
    )
    assert "PASSED test_it.py::test_good" in told
    assert "FAILED test_it.py::test_bad" in told
    assert "assert 1 == 2" in told
    assert "FAILED test_it.py::test_one_in_three" in told
    assert "test_one_in_three[2]" in told
    assert "on Sundays" in told
    assert "2 failed, 1 passed, 1 skipped" in told


def test_the_file_is_imported_in_another_process_once(tmp_path: Path) -> None:
    told = outcome(
        tmp_path,
        f"""
import os, pathlib
pathlib.Path({str(tmp_path)!r}, f"process-{{os.getpid()}}").touch()
def test_a(): pass
def test_b(): pass
""",
    )
    assert "2 passed" in told
    assert len(list(tmp_path.glob("process-*"))) == 1


def test_a_crash_fails_what_it_left_open_with_its_last_words(tmp_path: Path) -> None:
    told = outcome(
        tmp_path,
        """
import os
def test_before(): pass
def test_crash():
    print("the last words", flush=True)
    os.abort()
def test_after(): pass
""",
        "-s",
    )
    assert "1 passed" in told and "2 failed" in told
    assert "test_crash did not finish" in told
    assert "Fatal Python error: Aborted" in told


def test_only_the_chosen_tests_run(tmp_path: Path) -> None:
    told = outcome(tmp_path, "import os\ndef test_a(): pass\ndef test_b(): os.abort()\n", "-k", "test_a")
    assert "1 passed, 1 deselected" in told


def test_without_the_packages_it_skips_and_says_why(tmp_path: Path) -> None:
    told = outcome(tmp_path, "import nowhere\ndef test_a(): pass\n", needed=("no_such_package",))
    assert "1 skipped" in told
    assert "needs no_such_package" in told


@pytest.mark.parametrize("broken", ["import nowhere\ndef test_a(): pass\n"])
def test_a_file_that_cannot_be_imported_fails(tmp_path: Path, broken: str) -> None:
    told = outcome(tmp_path, broken)
    assert "1 failed" in told
    assert "No module named 'nowhere'" in told


@pytest.mark.parametrize(("runs_that_stand_still", "ends"), [(2, "1 passed"), (3, "1 failed")])
def test_a_window_that_stood_still_is_tried_three_times(tmp_path: Path, runs_that_stand_still: int, ends: str) -> None:
    told = outcome(
        tmp_path,
        f"""
import pathlib
from slicerhost.process import StoodStill
def test_it():
    runs = pathlib.Path({str(tmp_path)!r}, "runs")
    runs.open("a").write("x")
    if len(runs.read_text()) <= {runs_that_stand_still}:
        raise StoodStill("for 300 ms")
""",
    )
    assert ends in told
    assert "test_it.py::test_it runs again" in told and "for 300 ms" in told
    assert (tmp_path / "runs").read_text() == "xxx"


def test_any_other_fault_fails_at_once(tmp_path: Path) -> None:
    told = outcome(
        tmp_path,
        f"""
import pathlib
def test_it():
    pathlib.Path({str(tmp_path)!r}, "runs").open("a").write("x")
    assert False
""",
    )
    assert "1 failed" in told
    assert (tmp_path / "runs").read_text() == "x"
