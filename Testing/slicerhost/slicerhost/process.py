"""The pytest plugin: run each test file of a folder that uses the host in a child process of its own.

The parent process (`INSIDE` unset) does not import a test file. It reads the names of the test functions from the
syntax tree; the first function that runs starts `pytest` on the file in a child process, with the host. Each function
reports the child's result, all parameters together. When the child dies, its unfinished tests fail with the last lines
of its output.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slicerhost.installed import TREES

INSIDE = "SLICERHOST_INSIDE"
_REPORTS = "SLICERHOST_REPORTS"
_NEEDED = ("slicer_core", "PySide6", "cmake", "ninja")
_SAFETY_LIMIT_S = 3600
"""Ends a child that hangs; no test depends on its value."""
_HOST = Path(__file__).resolve().parents[1]
_TREES_FOLDER = pytest.StashKey[str]()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a test file for a child process; import this into the folder's conftest.py."""
    return None if os.environ.get(INSIDE) else HostFile.from_parent(parent, path=module_path)


def start_inside(extension: Path | None = None) -> None:
    """Start the host in a child process before its test files are imported; call this in the same conftest.py.

    extension: source folder of the extension whose modules `opened` finds by name.
    """
    if os.environ.get(INSIDE):
        from slicerhost.start import start

        start(extension)


class HostFile(pytest.File):
    """A test file that only its child process imports."""

    last_output = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.reports: dict[str, list[dict[str, Any]]] = {}
        """Reports of the phases of each test, by function."""

    def collect(self) -> Iterator[pytest.Item]:
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                item = HostTest.from_parent(self, name=node.name)
                for mark in _plain_marks(node):
                    item.add_marker(mark)
                yield item

    def run(self, names: list[str]) -> None:
        """Run the functions `names` in one child process."""
        with tempfile.TemporaryDirectory() as folder:
            record, output = Path(folder) / "reports", Path(folder) / "output"
            record.touch()
            environment = {**os.environ, INSIDE: "1", _REPORTS: str(record), "PYTHONFAULTHANDLER": "1"}
            environment[TREES] = _trees_folder(self.config)
            environment["PYTHONPATH"] = os.pathsep.join(
                [str(_HOST), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
            )
            command = [sys.executable, "-m", "pytest", "-p", __name__, "-p", "no:cacheprovider", "--tb=short", "-q"]
            command += [f"{self.path}::{name}" for name in names]
            with output.open("w") as stream:
                try:
                    child = subprocess.run(
                        command,
                        cwd=self.config.rootpath,
                        env=environment,
                        stdout=stream,
                        stderr=stream,
                        timeout=_SAFETY_LIMIT_S,
                    )
                    ended = f"The process ended with {child.returncode}."
                except subprocess.TimeoutExpired:
                    ended = f"The process was ended after {_SAFETY_LIMIT_S} s."
            lines = output.read_text(errors="replace").splitlines()
            lines = [line for line in lines if "Extension modules" not in line]  # faulthandler lists some 200 of them
            self.last_output = "\n".join([ended, *lines[-60:]])
            self.reports.update({name: [] for name in names})
            for line in record.read_text().splitlines():
                report = json.loads(line)
                self.reports[report["function"]].append(report)


def _trees_folder(config: pytest.Config) -> str:
    """Return the folder of the trees that the child processes of this session share; it is removed at its end."""
    if _TREES_FOLDER not in config.stash:
        folder = config.stash[_TREES_FOLDER] = tempfile.mkdtemp(prefix="slicerhost-trees-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    return config.stash[_TREES_FOLDER]


def _plain_marks(function: ast.FunctionDef) -> list[str]:
    """Return the names of the marks without arguments, such as `slow` of `@pytest.mark.slow`."""
    prefix = "pytest.mark."
    names = [ast.unparse(decorator) for decorator in function.decorator_list if isinstance(decorator, ast.Attribute)]
    return [name[len(prefix) :] for name in names if name.startswith(prefix)]


class HostTest(pytest.Item):
    """One test function with all its parameters."""

    parent: HostFile

    def runtest(self) -> None:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}: Python 3.11 or 3.12 on Linux and slicerhost's requirements")
        if self.name not in self.parent.reports:
            self.parent.run([item.name for item in self.session.items if item.parent is self.parent])
        reports, failed = self.parent.reports[self.name], self._failed()
        if failed:
            raise HostFailure("\n".join(report["text"] for report in failed))
        if not any(report["when"] == "teardown" for report in reports):
            raise HostFailure(f"{self.name} did not finish. {self.parent.last_output}")
        called = [report for report in reports if report["when"] == "call" and report["outcome"] == "passed"]
        if not called:
            reasons = (report["text"] for report in reports if report["outcome"] == "skipped")
            pytest.skip("; ".join(reason.removeprefix("Skipped: ") for reason in reasons))

    def _failed(self) -> list[dict[str, Any]]:
        return [report for report in self.parent.reports[self.name] if report["outcome"] == "failed"]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        if isinstance(excinfo.value, HostFailure):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class HostFailure(Exception):
    """A test failed in the child process; the message is the child's report."""


def pytest_collection_finish() -> None:
    """In a child process, leave what is imported by now out of the garbage collection before each test."""
    if os.environ.get(_REPORTS):
        gc.collect()
        gc.freeze()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record each phase of each test as a JSON line, in a child process that loads this module as a plugin."""
    record = os.environ.get(_REPORTS)
    if record:
        function = report.nodeid.rpartition("::")[2].partition("[")[0]
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        text = f"{report.nodeid}\n{text}" if report.failed else text
        content = {"function": function, "when": report.when, "outcome": report.outcome, "text": text}
        with open(record, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(content) + "\n")
