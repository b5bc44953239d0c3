"""Import layers: every import of the backend is parsed, lazy ones included, and compared with `FLOORS`.

A package may import packages of lower floors, and packages of its own floor as long as no cycle closes. The methods are
the exception: one method never imports another. The checker itself is tested on small trees with one fault each.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "SlicerSynthReg"
FLOORS = (
    {"errors", "progress"},
    {"parameters", "request", "runtime", "spatial", "networks", "weights"},
    {"io", "losses", "synthesis"},
    {"metrics"},
    {"registration"},
    {"healthy", "contrast", "in_context", "finetuning", "topology", "uncertainty"},
    {"training", "report", "reader_study"},
    {"api"},
    {"tasks"},
    {"service"},
    {"cli"},
    {"__main__"},
)
METHODS = FLOORS[5]
FOREIGN = re.compile(r"(slicer|qt|ctk|vtk\w*|PythonQt|PySide\d?|PyQt\d?)$")
LONGEST, LONG = 400, 300


class Import(NamedTuple):
    """One import: the imported module, its line, and whether it is named in a string for import_module."""

    target: str
    line: int
    dynamic: bool = False


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, root: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """Every import in the file, at any depth; `from package import module` counts as an import of the module."""
    own = module_name(path, root)
    package = own if path.name == "__init__.py" else own.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    dynamic = any(
        isinstance(node, (ast.Name, ast.Attribute))
        and (node.id if isinstance(node, ast.Name) else node.attr) in {"import_module", "__import__"}
        for node in ast.walk(tree)
    )
    hidden = {id(inner) for node in ast.walk(tree) if _for_type_checkers(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if own == PACKAGE and id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *base.split(".")])
                base = base.rstrip(".")
            for alias in node.names:
                module = f"{base}.{alias.name}"
                yield Import(module if module in modules else base, node.lineno)
        elif dynamic and isinstance(node, ast.Constant) and re.fullmatch(rf"{PACKAGE}\.[\w.]+", str(node.value)):
            yield Import(str(node.value).rstrip("."), node.lineno, True)


def _for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def room_of(module: str) -> str:
    return (module.split(".") + [""])[1]


def floor_of(room: str) -> int | None:
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), None)


def judge(source: str, imported: Import, extensions: set[str]) -> str | None:
    """Return what is wrong with `source` importing this, or None."""
    target = imported.target
    top = target.split(".")[0]
    if FOREIGN.match(top) or top in extensions:
        return "the backend knows no Slicer: convert to Image and Grid in Modules/SynthRegLib"
    if top != PACKAGE or room_of(target) == "":
        return None
    here, there = floor_of(room_of(source)), floor_of(room_of(target))
    if source == PACKAGE:
        return None if imported.dynamic else "the package's own __init__.py exports lazily: use import_module"
    if here is None or there is None:
        return None
    if there > here:
        return f"upward, from floor {here} to floor {there}: move what is shared to the lower floor"
    if {room_of(source), room_of(target)} <= METHODS and room_of(source) != room_of(target):
        return "sideways, from one method to another: move what is shared to a lower floor"
    return None


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def faults(root: Path) -> list[str]:
    """Every breach of the floor order below `root`, as 'file:line: what is wrong and what to do'."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    modules = {module_name(path, root): path for path in files}
    known = {".".join(name.split(".")[:depth]) for name in modules for depth in range(1, name.count(".") + 2)}
    extensions = {path.name for path in (root / "Modules").glob("*") if path.is_dir()}
    found = []
    between_files: dict[str, set[str]] = {}
    between_rooms: dict[str, set[str]] = {}
    rooms = {room_of(module) for module in modules} - {""}
    found += [f"{room}: stands on no floor; give it one in FLOORS" for room in sorted(rooms) if floor_of(room) is None]
    for source, path in modules.items():
        for imported in imports_of(path, root, modules):
            target = imported.target
            place = f"{path.relative_to(root).as_posix()}:{imported.line}: imports {target}"
            verdict = judge(source, imported, extensions)
            if verdict:
                found.append(f"{place}: {verdict}")
            elif target.startswith(f"{PACKAGE}.") and target not in known:
                found.append(f"{place}: which does not exist")
            if target in modules:
                between_files.setdefault(source, set()).add(target)
                if room_of(source) != room_of(target) and room_of(target):
                    between_rooms.setdefault(room_of(source), set()).add(room_of(target))
    for graph in (between_files, between_rooms):
        circle = circle_in(graph)
        if circle:
            found.append(f"circle: {' <- '.join(circle)}; move what is shared to a lower file")
    return found


def test_every_import_leads_downwards() -> None:
    assert faults(ROOT) == []


def own_files() -> list[Path]:
    return sorted(path for top in (PACKAGE, "Modules", "Testing") for path in (ROOT / top).rglob("*.py"))


def test_every_folder_of_the_package_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / PACKAGE).rglob("*.py")}
    bare = sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists())
    assert bare == [], "a folder without __init__.py is left out of the wheel, with everything in it"


def test_no_file_is_called_utils() -> None:
    named = [path for path in own_files() if re.fullmatch(r"_?(utils?|helpers?|misc|common)", path.stem)]
    assert named == [], "name a file by the idea it holds"


def test_no_file_is_too_long() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in own_files()}
    for name, lines in lengths.items():
        if LONG < lines <= LONGEST:
            warnings.warn(f"{name} has {lines} lines; the house aims at {LONG}", stacklevel=1)
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}, f"expected <= {LONGEST} lines"


SOUND_HOUSE = {
    "__init__.py": "from importlib import import_module\ndef __getattr__(n):\n"
    "    return import_module('SlicerSynthReg.service.run')",
    "spatial/__init__.py": "",
    "spatial/grid.py": "import numpy",
    "spatial/transform.py": "from . import grid\nfrom .grid import Grid",
    "io/image.py": "from SlicerSynthReg.spatial.grid import Grid",
    "io/lps.py": "from ..spatial import grid",
    "registration/adam.py": "def fit():\n    from SlicerSynthReg.spatial import transform",
    "healthy/una.py": "from .pipeline import run",
    "healthy/pipeline.py": "from SlicerSynthReg.registration import adam",
    "topology/prior.py": "from SlicerSynthReg.io import image",
    "service/run.py": "import importlib\ntask = importlib.import_module('SlicerSynthReg.healthy.una')",
    "service/batch.py": "import importlib\ntask = importlib.import_module(f'SlicerSynthReg.healthy.{name}')",
    "cli/main.py": "from SlicerSynthReg.service import run",
}


def build(root: Path, rooms: dict[str, str]) -> Path:
    for name, text in rooms.items():
        path = root / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_sound_house_passes(tmp_path: Path) -> None:
    assert faults(build(tmp_path, SOUND_HOUSE)) == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("spatial/grid.py", "import SlicerSynthReg.io.image", "spatial/grid.py:1: imports"),
        ("spatial/grid.py", "from ..io.image import Image", "upward"),
        ("spatial/grid.py", "def late():\n    from SlicerSynthReg.service import run", "spatial/grid.py:2: imports"),
        ("io/image.py", "class V:\n    def m(self):\n        from ..registration import adam", "upward"),
        (
            "spatial/grid.py",
            "from importlib import import_module\nimport_module('SlicerSynthReg.service.run')",
            "upward",
        ),
        ("spatial/grid.py", "import importlib\nimportlib.import_module(f'SlicerSynthReg.healthy.{n}')", "upward"),
        ("service/run.py", "if False:\n    from SlicerSynthReg.cli.main import app", "upward"),
        ("registration/adam.py", "from ..healthy.una import Model", "upward"),
        ("topology/prior.py", "from ..healthy.una import Model", "sideways"),
        ("topology/prior.py", "from SlicerSynthReg.healthy import una", "sideways"),
        ("spatial/grid.py", "from .transform import Affine", "circle: "),
        ("spatial/grid.py", "def late():\n    from . import transform", "circle: "),
        ("io/image.py", "import slicer", "the backend knows no Slicer"),
        ("cli/main.py", "def late():\n    from vtkmodules.util import numpy_support", "the backend knows no Slicer"),
        ("cli/main.py", "import qt, ctk", "the backend knows no Slicer"),
        ("__init__.py", "from SlicerSynthReg.spatial.grid import Grid", "the package's own __init__.py"),
        ("tricks.py", "import numpy", "tricks: stands on no floor"),
        ("service/run.py", "def late():\n    from SlicerSynthReg.healthy.nowhere import f", "which does not exist"),
    ],
)
def test_one_fault_is_found(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    found = faults(build(tmp_path, {**SOUND_HOUSE, file: text}))
    assert any(complaint in fault for fault in found), found


def test_two_rooms_of_one_floor_close_no_circle_through_different_files(tmp_path: Path) -> None:
    rooms = {
        "synthesis/mr_contrast.py": "from SlicerSynthReg.io.image import Image",
        "synthesis/draw.py": "",
        "io/nifti.py": "def late():\n    from SlicerSynthReg.synthesis.draw import draw",
    }
    [fault] = faults(build(tmp_path, {**SOUND_HOUSE, **rooms}))
    assert fault.startswith("circle: ") and "synthesis" in fault and "io" in fault


def test_a_module_of_the_extension_is_no_part_of_the_backend(tmp_path: Path) -> None:
    (tmp_path / "Modules" / "SynthRegLib").mkdir(parents=True)
    [fault] = faults(
        build(tmp_path, {**SOUND_HOUSE, "service/run.py": "from SynthRegLib.nodes import volume_from_node"})
    )
    assert "the backend knows no Slicer" in fault
