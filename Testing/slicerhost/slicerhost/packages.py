"""`slicer.packaging` as of Slicer 5.12, with an index of its own: nothing is ever installed into this Python.

Checks, consent and the testing mode behave as in Slicer; `pip_install` looks the requirement up in what
`packaging.offers` named, and fails as pip does (CalledProcessError) for anything else. Different: no progress dialog,
no restart prompt.
"""

from __future__ import annotations

import importlib.metadata
import sys
import types
from collections.abc import Callable
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any


class Packaging(types.ModuleType):
    """The module `slicer.packaging`, and what a test says about the world behind it."""

    def __init__(self) -> None:
        super().__init__("slicer.packaging", __doc__)
        self.requested: list[str] = []
        self._offered: dict[str, Callable[[], None] | None] = {}
        self._missing: set[str] = set()
        self._installed: set[str] = set()

    def offers(self, name: str, installing: Callable[[], None] | None = None) -> None:
        """From now on package `name` can be installed, which calls `installing`."""
        self._offered[name.lower()] = installing

    def lacks(self, *names: str) -> None:
        """From now on these packages count as not installed, whatever this Python has."""
        self._missing.update(name.lower() for name in names)

    def forget(self) -> None:
        self.requested.clear()
        for known in (self._offered, self._missing, self._installed):
            known.clear()

    def load_requirements(self, path: Any) -> list[Any]:
        lines = (line.strip() for line in Path(path).read_text().splitlines())
        return [self._requirement(line) for line in lines if line and line[0] not in "#-"]

    def pip_check(self, req: Any) -> bool:
        return all(self._satisfied(requirement) for requirement in self._requirements(req))

    def pip_ensure(
        self,
        requirements: Any,
        constraints: Any = None,
        skip_packages: list[str] | None = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: str | None = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> list[str] | None:
        import slicer

        missing = [requirement for requirement in self._requirements(requirements) if not self._satisfied(requirement)]
        if not missing or (skip_in_testing and slicer.app.testingEnabled()):
            return None
        title = f"{requester} - Install Python Packages" if requester else "Install Python Packages"
        text = f"{len(missing)} Python packages need to be installed."
        if prompt_install and not slicer.util.confirmOkCancelDisplay(text, title):
            raise RuntimeError("User declined package installation")
        return self.pip_install([str(requirement) for requirement in missing], constraints=constraints)

    def pip_install(
        self,
        requirements: Any,
        constraints: Any = None,
        no_deps_requirements: Any = None,
        skip_packages: list[str] | None = None,
        blocking: bool = True,
        show_progress: bool = True,
        requester: str | None = None,
        parent: Any = None,
        logCallback: Callable[[str], None] | None = None,
        completedCallback: Callable[[int], None] | None = None,
    ) -> list[str] | None:
        for requirement in self._requirements(requirements):
            self.requested.append(str(requirement))
            name = requirement.name.lower()
            if name not in self._offered:
                if not blocking and completedCallback is not None:
                    completedCallback(1)
                    return None
                raise CalledProcessError(1, "pip install")
            self._installed.add(name)
            installing = self._offered[name]
            if installing is not None:
                installing()
        if not blocking and completedCallback is not None:
            completedCallback(0)
        return None

    def isPipInstallInProgress(self) -> bool:
        return False

    def _satisfied(self, requirement: Any) -> bool:
        if requirement.marker is not None and not requirement.marker.evaluate():
            return True
        name = requirement.name.lower()
        if name in self._installed:
            return True
        if name in self._missing:
            return False
        try:
            return importlib.metadata.version(name) in requirement.specifier
        except importlib.metadata.PackageNotFoundError:
            return False

    def _requirements(self, given: Any) -> list[Any]:
        if isinstance(given, str):
            given = [given] if ";" in given else given.split()
        if not isinstance(given, list):
            given = [given]
        return [self._requirement(one) if isinstance(one, str) else one for one in given]

    @staticmethod
    def _requirement(text: str) -> Any:
        from packaging.requirements import Requirement

        return Requirement(text)


packaging = Packaging()


def install() -> None:
    sys.modules["slicer.packaging"] = packaging
