"""Start the host in this process: create its parts in the order of their dependencies."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

from slicerhost.installed import EXTENSION

_started = False


def start(extension: Path | None = None) -> None:
    """Make `slicer`, `qt`, `ctk` and `vtk` importable as in Slicer's Python; a second call does nothing.

    extension: source folder of the extension whose modules `opened` finds by name.
    """
    global _started
    if extension is not None:
        os.environ[EXTENSION] = str(extension)
    if _started:
        return
    _started = True
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    home = Path(tempfile.mkdtemp(prefix="slicerhost-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)

    from slicerhost import pythonqt

    qt = sys.modules["qt"] = pythonqt.present()

    import slicer

    from slicerhost import modal, modules, packages, sampledata, scripted, translation

    slicer.modules = modules.install()
    _install_module("slicer.i18n", tr=translation.tr, translate=translation.translate)
    slicer.i18n = sys.modules["slicer.i18n"]
    packages.install()
    slicer.packaging = packages.packaging
    sampledata.install()
    scripted.install()
    modal.install()
    _install_widgets(qt, slicer)
    _install_application(slicer, home)

    from slicerhost import parameternode

    parameternode.install()


def _install_module(name: str, **content: object) -> None:
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module


def _install_widgets(qt: types.ModuleType, slicer: types.ModuleType) -> None:
    from slicerhost import ctkbuttons, ctknumbers, mrmlwidgets
    from slicerhost.uiloader import UiLoader

    ctk = {name: cls for room in (ctkbuttons, ctknumbers) for name, cls in vars(room).items() if name.startswith("ctk")}
    _install_module("ctk", **ctk)
    for cls in mrmlwidgets.WIDGETS:
        setattr(slicer, cls.__name__, cls)
    UiLoader.stand_ins = (*ctk.values(), *mrmlwidgets.WIDGETS)
    qt.QUiLoader = UiLoader


def _install_application(slicer: types.ModuleType, home: Path) -> None:
    from slicerhost.application import Application
    from slicerhost.core import build_core
    from slicerhost.extensionsmanager import extensions
    from slicerhost.hierarchy import HierarchyKeeper
    from slicerhost.iomanager import IOManager
    from slicerhost.layout import LayoutManager
    from slicerhost.modules import ModuleManager

    application = Application(home)
    slicer.app = application
    core = build_core(str(home))
    application.furnish(core, IOManager(core.scene, core.logics), extensions)
    application._keeper = HierarchyKeeper(core.scene)
    application.place(layout_manager=LayoutManager(core.scene, core.application_logic))
    application.place(module_manager=ModuleManager(core.logics))
