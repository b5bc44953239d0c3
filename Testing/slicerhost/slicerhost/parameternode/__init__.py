"""`slicer.parameterNodeWrapper`, the part of it that a panel uses, written anew to its documented behaviour.

Kept: what is stored in the node, name by name (`True`/`False`, the name of an enum's member, a node reference, `name_0`
and `name_1` for `Optional`), validation at assignment, values cached until the node is modified, exact widget classes
in `connectGui`. Different from a real Slicer: no lists, dicts, tuples, ranges or parameter packs, and no GUI
creation: a class that needs one is refused with that reason.
"""

from __future__ import annotations

import sys
import types

import slicer

from slicerhost.parameternode import connectors, kinds, wrapper


def install() -> None:
    module = types.ModuleType("slicer.parameterNodeWrapper", __doc__)
    for room in (kinds, wrapper, connectors):
        for name in room.__all__:
            setattr(module, name, getattr(room, name))
    slicer.parameterNodeWrapper = module
    sys.modules[module.__name__] = module
