"""The table facts.json: the source of each name that a module uses or that a stand-in offers.

    python -m slicerhost.facts LIST MODULES...

writes it, in an environment with the host's requirements. LIST: what PythonQt exposes of Slicer's and CTK's classes, a
JSON file parsed from their headers. MODULES: folders of modules. The command stops at an unknown name. Qt's names are
looked up in PySide6, VTK's and MRML's in slicer-core, Slicer's Python packages that are not in the wheel in BY_HAND,
which names the source to read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FACTS = Path(__file__).with_name("facts.json")
BY_HAND = {
    "slicer.ScriptedLoadableModule": "Slicer: Base/Python/slicer/ScriptedLoadableModule.py",
    "slicer.i18n": "Slicer: Base/Python/slicer/i18n.py",
    "slicer.packaging": "Slicer: Base/Python/slicer/packaging.py (5.12)",
    "slicer.parameterNodeWrapper": "Slicer: Base/Python/slicer/parameterNodeWrapper/",
    "qMRMLNodeComboBox.addAttribute": "Slicer: Libs/MRML/Widgets/qMRMLNodeComboBox.h (over several lines)",
    "qSlicerApplication.testingEnabled": "slicer.util calls it",
    "qSlicerCoreIOManager.fileWriterFileType": "slicer.util calls it",
}
KINDS = {"properties": "property", "signals": "signal", "slots": "slot", "invokables": "method"}


def read_facts() -> dict[str, str]:
    """Return the source of each known name."""
    return json.loads(FACTS.read_text(encoding="utf-8"))["facts"]


def fact_of(name: str, classes: dict[str, Any]) -> str:
    """Return the source of `name`; raises LookupError when neither `classes` nor the host's packages have it."""
    for prefix, source in BY_HAND.items():
        if name == prefix or name.startswith(prefix + "."):
            return source
    owner, _, member = name.partition(".")
    if owner == "qt":
        return _namespace_fact(member)
    if owner in classes or owner.startswith("Q"):
        return _qt_fact(owner, member, classes)
    return _vtk_fact(name)


def _qt_fact(owner: str, member: str, classes: dict[str, Any]) -> str:
    plain = member.partition("(")[0]
    cls: str | None = owner
    while cls in classes:
        entry = classes[cls]
        if not member:
            return entry["header"]
        for kinds, kind in KINDS.items():
            if plain in entry[kinds] and ("(" in member) <= (kind == "signal"):
                return f"{kind}, {entry['header']}"
        setter = plain[3:4].lower() + plain[4:] if plain.startswith("set") else ""
        if setter in entry["properties"]:
            return f"setter of a property, {entry['header']}"
        cls = entry["base"]
    return _pyside_fact(owner, cls, member)


def _namespace_fact(member: str) -> str:
    """`Qt.DisplayRole` and the like."""
    import qt

    found: Any = qt
    for part in member.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise LookupError(f"qt has no {member}")
    return "Qt"


def _pyside_fact(owner: str, cls: str | None, member: str) -> str:
    import qt

    base = getattr(qt, cls or "", None)
    if base is None:
        raise LookupError(f"{owner}: no class {cls} in Qt, and none in the list")
    if not member:
        return "Qt"
    if "(" in member:
        meta = base.staticMetaObject
        if meta.indexOfSignal(member) < 0:
            raise LookupError(f"{owner}: {cls} has no signal {member}")
    elif not hasattr(base, member) and base.staticMetaObject.indexOfProperty(member) < 0:
        raise LookupError(f"{owner}: neither the list nor Qt's {cls} has {member}")
    return f"Qt, {cls}"


def _vtk_fact(name: str) -> str:
    import importlib

    import slicer
    import vtk

    owner, _, member = name.partition(".")
    if owner == "vtk?":
        every = (getattr(room, one) for room in (slicer, vtk) for one in dir(room) if one.startswith("vtk"))
        having = next((cls.__name__ for cls in every if isinstance(cls, type) and hasattr(cls, member)), None)
        if having is None:
            raise LookupError(f"No class of vtk or slicer-core has {member}")
        return f"slicer-core, {having} among others"
    if owner in ("slicer", "vtk"):
        room, _, last = name.rpartition(".")
        if not hasattr(importlib.import_module(room), last):
            raise LookupError(f"{room} has no {last}")
        return "slicer-core" if owner == "slicer" else "vtk"
    cls = getattr(slicer, owner, None) or getattr(vtk, owner, None)
    if cls is None:
        raise LookupError(f"No class {owner} in slicer-core, in vtk or in the list")
    if not member or hasattr(cls, member):
        return "slicer-core"
    below = next((sub.__name__ for sub in _below(cls) if hasattr(sub, member)), None)
    if below is None:
        raise LookupError(f"{owner} has no {member}, and no class made from it")
    return f"slicer-core, {below} below {owner}"


def _below(cls: type) -> list[type]:
    return [one for sub in cls.__subclasses__() for one in (sub, *_below(sub))]


def names_offered() -> set[str]:
    """Every property, signal and public method that the host's stand-ins have of their own."""
    from slicerhost.offered import offered

    return {f"{owner}.{member}" for owner, members in offered().items() for member in members}


def main(path: Path, folders: list[Path]) -> None:
    """Write the facts of all names used in `folders` or offered by the stand-ins."""
    from slicerhost.names_used import names_used
    from slicerhost.start import start

    start()
    content = json.loads(path.read_text())
    used = {name for folder in folders for name in names_used(folder)}
    facts, unknown = {}, []
    for name in sorted(used | names_offered()):
        try:
            facts[name] = fact_of(name, content["classes"])
        except LookupError as error:
            unknown.append(f"{name}: {error}")
    if unknown:
        sys.exit("\n".join(unknown))
    FACTS.write_text(json.dumps({"source": content["source"], "facts": facts}, indent=1) + "\n")
    print(f"{len(facts)} names in {FACTS.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
