"""Install what the worker needs into Slicer's Python, at first use and with consent.

torch comes with the extension PyTorch, which selects the build for the graphics card; the rest by slicer.packaging, or
by slicer.util.pip_install before Slicer 5.12. This module imports nothing of what it checks.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import shutil
import subprocess

import slicer
from slicer.i18n import tr as _

TORCH = ">=2.2"
PACKAGES = {
    "scipy": "scipy",
    "nibabel": "nibabel",
    "SimpleITK": "SimpleITK",
    "pydicom": "pydicom",
    "safetensors": "safetensors",
    "matplotlib": "matplotlib",
    "psutil": "psutil",
}
"""Module -> requirement. Slicer brings its own numpy, SimpleITK and pydicom: these are never replaced."""
_TITLE = "SynthReg"


class NotInstalled(Exception):
    """The worker cannot run; the text says found, expected, remedy."""


def missing_packages() -> list[str]:
    return [requirement for module, requirement in PACKAGES.items() if importlib.util.find_spec(module) is None]


def torch_is_missing() -> bool:
    return importlib.util.find_spec("torch") is None


def ensure() -> None:
    """Install missing packages after asking the user. Raises NotInstalled."""
    absent = (["torch"] if torch_is_missing() else []) + missing_packages()
    if not absent:
        return
    if slicer.app.testingEnabled():
        raise NotInstalled(
            _(
                "Found no {packages} in this Python, expected them. Slicer runs in test mode, which installs nothing."
            ).format(packages=", ".join(absent))
        )
    if torch_is_missing():
        _install_torch()
    if missing_packages():
        _install(missing_packages())
    importlib.invalidate_caches()
    still = (["torch"] if torch_is_missing() else []) + missing_packages()
    if still:
        raise NotInstalled(
            _("Found that {packages} cannot be imported after the installation. Restart Slicer and try again.").format(
                packages=", ".join(still)
            )
        )


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ImportError:
        _install_torch_extension()
        raise NotInstalled(
            _("The extension PyTorch is installed now. Restart Slicer, then press Apply again.")
        ) from None
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH)
    except Exception as error:
        raise NotInstalled(_offline("torch", error)) from error
    if torch is None:
        raise NotInstalled(_declined("torch"))


def _install_torch_extension() -> None:
    asked = slicer.util.confirmOkCancelDisplay(
        _(
            "SynthReg requires PyTorch, which the extension PyTorch installs for this computer. Install that "
            "extension from the Extensions Server now?"
        ),
        windowTitle=_TITLE,
    )
    if not asked:
        raise NotInstalled(_declined(_("the extension PyTorch")))
    manager = slicer.app.extensionsManagerModel()
    if manager is None:
        raise NotInstalled(
            _(
                "Found a Slicer without extensions manager, expected the extension PyTorch. Install torch with "
                "PythonSlicer -m pip install torch."
            )
        )
    manager.interactive = False
    if not manager.installExtensionFromServer("PyTorch"):
        raise NotInstalled(_offline(_("the extension PyTorch"), None))


def _install(requirements: list[str]) -> None:
    try:
        from slicer.packaging import pip_ensure
    except ImportError:
        _install_by_pip(requirements)
        return
    from packaging.requirements import Requirement

    try:
        pip_ensure([Requirement(one) for one in requirements], requester=_TITLE)
    except subprocess.CalledProcessError as error:
        raise NotInstalled(_offline(", ".join(requirements), error)) from error
    except RuntimeError as error:  # how pip_ensure says that the user declined
        raise NotInstalled(_declined(", ".join(requirements))) from error


def _install_by_pip(requirements: list[str]) -> None:
    names = ", ".join(requirements)
    asked = _("SynthReg needs these Python packages: {names}. Download and install them now?").format(names=names)
    if not slicer.util.confirmOkCancelDisplay(asked, windowTitle=_TITLE):
        raise NotInstalled(_declined(names))
    try:
        slicer.util.pip_install(requirements)
    except Exception as error:  # older Slicers raise what the platform's subprocess gives
        raise NotInstalled(_offline(names, error)) from error


def _declined(what: str) -> str:
    return _(
        "Found no {what}, expected it for the computation; it was not installed. Press Apply to be asked again."
    ).format(what=what)


def _offline(what: str, error: BaseException | None) -> str:
    if error is not None:
        logging.warning("SynthReg: %s", error)
    return _(
        "Found that {what} could not be downloaded, expected a connection to the internet. Check the network and its "
        "proxy and press Apply again; the Python console shows the details. Without network: copy the packages here "
        "and run PythonSlicer -m pip install."
    ).format(what=what)


def graphics_note() -> str:
    """Return a note if the installed torch cannot use the graphics card, else ""."""
    if torch_is_missing() or shutil.which("nvidia-smi") is None:
        return ""
    try:
        build = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""
    if not build.endswith("+cpu"):
        return ""
    return _(
        "Found torch {build}, which computes on the processor only, on a computer with an NVIDIA card. Reinstall torch "
        "in the module PyTorch Utils to use the card."
    ).format(build=build)
