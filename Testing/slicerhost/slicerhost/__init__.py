"""Open a scripted module's panel without the Slicer application; see README.md in the folder above.

Importing this package starts nothing, as the parent process of the tests imports it too. The first access to one of
the names below starts the host.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "opened": "slicerhost.panel",
    "close_scene": "slicerhost.panel",
    "count_turns": "slicerhost.eventloop",
    "dialogs": "slicerhost.modal",
    "extensions": "slicerhost.extensionsmanager",
    "packaging": "slicerhost.packages",
    "views": "slicerhost.views",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"slicerhost has no {name!r}; it has {sorted(_MODULES)}")
    from slicerhost.start import start

    start()
    room = importlib.import_module(_MODULES[name])
    return getattr(room, name, room)
