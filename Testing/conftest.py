"""The order of the files when pytest runs in several processes: the longest first."""

from __future__ import annotations

import pytest

PANEL_TESTS = "Testing/Host/"


def duration_class(item: pytest.Item, slow: set[str]) -> int:
    """Return 0 for files with tests of panels, 1 for other files with tests marked as slow, 2 for all others.

    slow: files that contain a test marked as slow, as the part of a node ID before "::".
    """
    file = item.nodeid.partition("::")[0]
    return 0 if file.startswith(PANEL_TESTS) else 1 if file in slow else 2


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the files by `duration_class` in a process of pytest-xdist, so that no long file begins last."""
    if hasattr(config, "workerinput"):
        slow = {item.nodeid.partition("::")[0] for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: duration_class(item, slow))
