"""pytest's part: every test file of a folder that asks for the host runs in a process of its own.

In the process that was started (`INSIDE` unset) a file is not imported: its test functions are read from its syntax
tree, and the first of them that runs starts `pytest` on that file in a child, with the host. Each function then
reports what the child said of it, all parameters together. A child that dies fails the tests that it left open, with
its last words. A function that failed only because the window stood still (`StoodStill`) runs again, in a child
of its own: what the machine did comes once, what the code does comes each time.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

INSIDE = "SLICERHOST_INSIDE"
_REPORTS = "SLICERHOST_REPORTS"
_NEEDED = ("slicer_core", "PySide6", "cmake", "ninja")
_TIME_LIMIT_S = 600
_RUNS = 3
"""How often at most a function runs whose only fault is that the window stood still."""
_HOST = Path(__file__).resolve().parents[1]


class StoodStill(AssertionError):
    """The event loop stood still for too long (`stall`)."""


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """For a folder's conftest.py: what stands for each of its test files."""
    return None if os.environ.get(INSIDE) else HostFile.from_parent(parent, path=module_path)


def start_inside() -> None:
    """For the same conftest.py: start the host before the test files of this process are imported."""
    if os.environ.get(INSIDE):
        from slicerhost.start import start

        start()


class HostFile(pytest.File):
    """A test file that only its child imports."""

    last_words = ""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.reports: dict[str, list[dict[str, Any]]] = {}
        """Of each function that ran: the phases of each of its tests, as the last child told them."""

    def collect(self) -> Iterator[pytest.Item]:
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield HostTest.from_parent(self, name=node.name)

    def run(self, names: list[str]) -> None:
        """One child for the functions `names`."""
        with tempfile.TemporaryDirectory() as folder:
            record, output = Path(folder) / "reports", Path(folder) / "output"
            record.touch()
            environment = {**os.environ, INSIDE: "1", _REPORTS: str(record), "PYTHONFAULTHANDLER": "1"}
            environment["PYTHONPATH"] = os.pathsep.join(
                [str(_HOST), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
            )
            command = [sys.executable, "-m", "pytest", "-p", __name__, "-p", "no:cacheprovider", "--tb=short", "-q"]
            command += [f"{self.path}::{name}" for name in names]
            with output.open("w") as said:
                try:
                    child = subprocess.run(
                        command,
                        cwd=self.config.rootpath,
                        env=environment,
                        stdout=said,
                        stderr=said,
                        timeout=_TIME_LIMIT_S,
                    )
                    ended = f"The process ended with {child.returncode}."
                except subprocess.TimeoutExpired:
                    ended = f"The process was ended after {_TIME_LIMIT_S} s."
            words = output.read_text(errors="replace").splitlines()
            words = [line for line in words if "Extension modules" not in line]  # faulthandler lists some 200 of them
            self.last_words = "\n".join([ended, *words[-60:]])
            self.reports.update({name: [] for name in names})
            for line in record.read_text().splitlines():
                report = json.loads(line)
                self.reports[report["function"]].append(report)


class HostTest(pytest.Item):
    """One test function, all its parameters."""

    parent: HostFile

    def runtest(self) -> None:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}: Python 3.11 or 3.12 on Linux and `pip install -e .[host]`")
        if self.name not in self.parent.reports:
            mine = [item.name for item in self.session.items if item.parent is self.parent]
            self.parent.run(mine)
        for _ in range(_RUNS - 1):
            if not self._only_stood_still():
                break
            warnings.warn(f"{self.nodeid} runs again: {self._failed()[0]['text']}", stacklevel=1)
            self.parent.run([self.name])
        found, failed = self.parent.reports[self.name], self._failed()
        if failed:
            raise HostFailure("\n".join(report["text"] for report in failed))
        if not any(report["when"] == "teardown" for report in found):
            raise HostFailure(f"{self.name} did not finish. {self.parent.last_words}")
        called = [report for report in found if report["when"] == "call" and report["outcome"] == "passed"]
        if not called:
            reasons = (report["text"] for report in found if report["outcome"] == "skipped")
            pytest.skip("; ".join(reason.removeprefix("Skipped: ") for reason in reasons))

    def _failed(self) -> list[dict[str, Any]]:
        return [report for report in self.parent.reports[self.name] if report["outcome"] == "failed"]

    def _only_stood_still(self) -> bool:
        failed = self._failed()
        return bool(failed) and all(report["stood_still"] for report in failed)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        if isinstance(excinfo.value, HostFailure):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class HostFailure(Exception):
    """What the child said."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the child, where this module is a plugin: a line for each phase of each test."""
    record = os.environ.get(_REPORTS)
    if record:
        function = report.nodeid.rpartition("::")[2].partition("[")[0]
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        text = f"{report.nodeid}\n{text}" if report.failed else text
        crash = getattr(report.longrepr, "reprcrash", None)
        stood_still = crash is not None and StoodStill.__name__ in crash.message.partition(":")[0]
        content = {"function": function, "when": report.when, "outcome": report.outcome, "text": text}
        content["stood_still"] = stood_still
        with open(record, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(content) + "\n")
