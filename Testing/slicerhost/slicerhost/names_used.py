"""Every name of Qt, ctk, qMRML, slicer and vtk that the modules use, read from their syntax trees and .ui files.

A name is `Owner.member`: the class that has it where the source tells (a widget of the .ui file, an annotated argument,
`slicer.app`, a constructor's result, and what the methods of RETURNS give), `vtk?.Member` where only its spelling tells
that it is VTK's (an upper-case method of something unknown). Signals are `Owner.signal(types)`.
"""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

ROOMS = {"slicer", "qt", "ctk", "vtk"}
KNOWN = {"slicer.app": "qSlicerApplication", "slicer.mrmlScene": "vtkMRMLScene"}
PACKAGES = {"slicer.util", "slicer.modules", "slicer.packaging", "vtk.util", "vtk.util.numpy_support"}
RETURNS = {
    "qSlicerApplication.layoutManager": "qSlicerLayoutManager",
    "qSlicerApplication.extensionsManagerModel": "qSlicerExtensionsManagerModel",
    "qSlicerApplication.applicationLogic": "vtkSlicerApplicationLogic",
    "qSlicerApplication.coreIOManager": "qSlicerCoreIOManager",
    "qSlicerApplication.ioManager": "qSlicerIOManager",
    "qSlicerApplication.moduleManager": "qSlicerModuleManager",
    "qSlicerLayoutManager.sliceWidget": "qMRMLSliceWidget",
    "qMRMLSliceWidget.sliceController": "qMRMLSliceControllerWidget",
    "qMRMLSliceWidget.sliceLogic": "vtkMRMLSliceLogic",
    "qMRMLSliceWidget.sliceView": "qMRMLSliceView",
    "qMRMLSliceWidget.mrmlSliceNode": "vtkMRMLSliceNode",
}
Places = dict[str, set[str]]


def names_used(modules: Path) -> Places:
    """Name -> the files that use it, relative to `modules`."""
    places: Places = defaultdict(set)
    widgets: dict[str, str] = {}
    for path in sorted(modules.rglob("*.ui")):
        widgets.update(_ui_names(path, str(path.relative_to(modules)), places))
    for path in sorted(modules.rglob("*.py")):
        reader = _Reader(widgets)
        reader.visit(ast.parse(path.read_text(encoding="utf-8")))
        for name in reader.found - PACKAGES:
            places[name].add(str(path.relative_to(modules)))
    return dict(places)


def _ui_names(path: Path, place: str, places: Places) -> dict[str, str]:
    """Classes, properties, signals and slots of one .ui file go to `places`; its widgets' classes by name come back."""
    tree = ElementTree.parse(path)
    classes = {element.get("name"): element.get("class") for element in tree.iter("widget")}
    for element in tree.iter("widget"):
        owner = element.get("class")
        places[owner].add(place)
        for found in element.findall("property"):
            if found.get("stdset") != "0":
                places[f"{owner}.{found.get('name')}"].add(place)
    for connection in tree.iter("connection"):
        for end, what in (("sender", "signal"), ("receiver", "slot")):
            owner = classes.get(connection.findtext(end), "?")
            name = connection.findtext(what)
            places[f"{owner}.{name if what == 'signal' else name.partition('(')[0]}"].add(place)
    return classes


class _Reader(ast.NodeVisitor):
    """One file: `found` fills while it visits."""

    def __init__(self, widgets: dict[str, str]) -> None:
        self.found: set[str] = set()
        self.widgets = widgets
        self.imported: set[str] = set()
        self.scopes: list[dict[str, str]] = [{}]

    def is_python(self, text: str) -> bool:
        """A member of something imported from elsewhere than Slicer, or of a class of our own."""
        root = text.partition(".")[0]
        return root in self.imported or root[:1].isupper()

    def visit_Import(self, node: ast.Import) -> None:
        names = (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        self.imported.update(name for name in names if name not in ROOMS)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").partition(".")[0] in ROOMS:
            self.found.update(f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")
        else:
            self.imported.update(alias.asname or alias.name for alias in node.names)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Attributes made from a constructor anywhere in a class keep that class."""
        made = {}
        for part in ast.walk(node):
            if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Attribute):
                owner = self.owner_of(part.value)
                if owner:
                    made[ast.unparse(part.targets[0])] = owner
        self.scopes.append(made)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        arguments = [*node.args.args, *node.args.kwonlyargs]
        self.scopes.append({one.arg: found for one in arguments if (found := _annotated(one.annotation))})
        self.generic_visit(node)
        self.scopes.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        owner = self.owner_of(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.scopes[-1].pop(target.id, None)
                if owner:
                    self.scopes[-1][target.id] = owner

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and re.fullmatch(r"(vtkMRML|vtkSlicer|qMRML|qSlicer|ctk)\w+", node.value):
            self.found.add(_home(node.value))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        owner = self.owner_of(node.value)
        text = ast.unparse(node)
        if text in KNOWN or text == "self.ui":
            return
        if owner:
            self.found.add(f"{owner}.{node.attr}")
        elif text.partition(".")[0] in ROOMS and re.fullmatch(r"[\w.]+", text):
            self.found.add(_home(text))
        elif re.match(r"[A-Z][a-z]+[A-Z]\w*$|IsA$|Modified$", node.attr) and not self.is_python(text):
            self.found.add(f"vtk?.{node.attr}")

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in ("connect", "disconnect") and len(node.args) == 2:
            owner = self.owner_of(function.value)
            signature = node.args[0]
            if owner and isinstance(signature, ast.Constant):
                self.found.discard(f"{owner}.{function.attr}")
                self.found.add(f"{owner}.{signature.value.replace(' ', '')}")

    def owner_of(self, node: ast.expr) -> str:
        """The class of an expression's value, "" where the source does not tell."""
        text = ast.unparse(node)
        if text in KNOWN:
            return KNOWN[text]
        for scope in reversed(self.scopes):
            if text in scope:
                return scope[text]
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self.ui", "ui"):
            return self.widgets.get(node.attr, "a .ui file")
        if isinstance(node, ast.Attribute) and re.fullmatch(r"(slicer|qt|ctk|vtk)\.(vtk|q[A-Z]|Q|ctk)\w+", text):
            return node.attr
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                found = RETURNS.get(f"{self.owner_of(node.func.value)}.{node.func.attr}")
                if found:
                    return found
            called = ast.unparse(node.func)
            if re.fullmatch(r"(slicer|qt|ctk|vtk)\.(vtk|q[A-Z]|Q|ctk)\w+", called):
                return called.rpartition(".")[2]
            if called.endswith(("AddNewNodeByClass", "CreateNodeByClass")) and isinstance(node.args[0], ast.Constant):
                return node.args[0].value
        return ""


def _annotated(annotation: ast.expr | None) -> str:
    """The slicer class of an argument's annotation, also in Optional[...] and `X | None`."""
    text = ast.unparse(annotation) if annotation is not None else ""
    found = re.findall(r"\bslicer\.(vtk\w+)", text)
    holds_many = re.search(r"list|dict|tuple|Sequence|Iterable|Callable", text)
    return found[0] if len(found) == 1 and not holds_many else ""


def _home(text: str) -> str:
    """`slicer.vtkMRMLNode` and "vtkMRMLNode" are the class itself; `slicer.util.x` stays whole."""
    last = text.rpartition(".")[2]
    is_class = re.match(r"(vtk[A-Z]|q(MRML|Slicer)|ctk[A-Z]|Q[A-Z])", last) and text.count(".") <= 1
    return last if is_class else text
