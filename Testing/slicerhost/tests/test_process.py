"""The plugin that runs each test file in a process of its own: reports of tests that pass, fail, skip or crash.

The folder under test has a conftest without the host, so this needs nothing but pytest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOST = Path(__file__).resolve().parents[1]
CONFTEST = """
from slicerhost import process
from slicerhost.process import pytest_pycollect_makemodule
process._NEEDED = {needed}
"""


def outcome(folder: Path, tests: str, *options: str, needed: tuple[str, ...] = ()) -> str:
    """Run `tests` with pytest and return its output."""
    (folder / "conftest.py").write_text(CONFTEST.format(needed=needed))
    (folder / "test_it.py").write_text(tests)
    paths = f"pythonpath={HOST}"
    command = [sys.executable, "-m", "pytest", "-rA", "-o", paths, "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run([*command, *options, str(folder)], capture_output=True, text=True, check=False, cwd=folder)
    return done.stdout + done.stderr


def test_each_function_has_its_own_line(tmp_path: Path) -> None:
    report = outcome(
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
    assert "PASSED test_it.py::test_good" in report
    assert "FAILED test_it.py::test_bad" in report
    assert "assert 1 == 2" in report
    assert "FAILED test_it.py::test_one_in_three" in report
    assert "test_one_in_three[2]" in report
    assert "on Sundays" in report
    assert "2 failed, 1 passed, 1 skipped" in report


def test_the_file_is_imported_in_another_process_once(tmp_path: Path) -> None:
    report = outcome(
        tmp_path,
        f"""
import os, pathlib
pathlib.Path({str(tmp_path)!r}, f"process-{{os.getpid()}}").touch()
def test_a(): pass
def test_b(): pass
""",
    )
    assert "2 passed" in report
    assert len(list(tmp_path.glob("process-*"))) == 1


def test_a_crash_fails_the_unfinished_tests_with_the_last_output(tmp_path: Path) -> None:
    report = outcome(
        tmp_path,
        """
import os
def test_before(): pass
def test_crash():
    print("the last line", flush=True)
    os.abort()
def test_after(): pass
""",
        "-s",
    )
    assert "1 passed" in report and "2 failed" in report
    assert "test_crash did not finish" in report
    assert "Fatal Python error: Aborted" in report


def test_only_the_chosen_tests_run(tmp_path: Path) -> None:
    report = outcome(tmp_path, "import os\ndef test_a(): pass\ndef test_b(): os.abort()\n", "-k", "test_a")
    assert "1 passed, 1 deselected" in report


def test_without_the_packages_it_skips_and_says_why(tmp_path: Path) -> None:
    report = outcome(tmp_path, "import nowhere\ndef test_a(): pass\n", needed=("no_such_package",))
    assert "1 skipped" in report
    assert "needs no_such_package" in report


@pytest.mark.parametrize("broken", ["import nowhere\ndef test_a(): pass\n"])
def test_a_file_that_cannot_be_imported_fails(tmp_path: Path, broken: str) -> None:
    report = outcome(tmp_path, broken)
    assert "1 failed" in report
    assert "No module named 'nowhere'" in report


def test_marks_without_arguments_select_tests_in_the_parent(tmp_path: Path) -> None:
    tests = "import os, pytest\ndef test_a(): pass\n@pytest.mark.slow\ndef test_b(): os.abort()\n"
    report = outcome(tmp_path, tests, "-m", "not slow", "-o", "markers=slow: takes seconds")
    assert "1 passed, 1 deselected" in report
