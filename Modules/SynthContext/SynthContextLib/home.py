"""Where the user's own models are kept: beside Slicer's settings, unless SYNTHREG_WEIGHTS says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import slicer

from SlicerSynthReg.weights.registry import own_folder

_VARIABLE = "SYNTHREG_WEIGHTS"


def provide_folder() -> Path:
    """Tell the backend, here and in the workers that are started from now on. Slicer's download cache is emptied at its
    start: models lie beside the settings instead."""
    if own_folder() is None:
        os.environ[_VARIABLE] = str(Path(slicer.app.slicerUserSettingsFilePath).parent / "SynthReg models")
    return own_folder()


def is_own(name: str) -> bool:
    folder = own_folder()
    return folder is not None and (folder / f"{name}.json").exists()


def delete_model(name: str) -> None:
    """Card and weights of one of the user's own. Errors: OSError."""
    for path in (own_folder() / f"{name}.json", own_folder() / f"{name}.safetensors"):
        path.unlink(missing_ok=True)
