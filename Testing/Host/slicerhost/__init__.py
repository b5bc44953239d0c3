"""Opens a scripted module's panel without the Slicer application; README.md in the folder above says how.

Importing this package starts nothing: the process that runs pytest imports it too. The names below start the host
when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "opened": "slicerhost.panel",
    "close_scene": "slicerhost.panel",
    "stall_meter": "slicerhost.stall",
    "dialogs": "slicerhost.modal",
    "extensions": "slicerhost.extensionsmanager",
    "packaging": "slicerhost.packages",
    "views": "slicerhost.views",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"slicerhost has no {name!r}; it has {sorted(_WHERE)}")
    from slicerhost.start import start

    start()
    room = importlib.import_module(_WHERE[name])
    return getattr(room, name, room)
