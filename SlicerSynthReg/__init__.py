"""Registration and derived images across contrasts, for 3D Slicer and Python. Names are loaded on first use.

import SlicerSynthReg as synthreg

result = synthreg.register("t1.nii.gz", "flair.nii.gz")
result.save("aligned")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from SlicerSynthReg.api.apply import apply_transform
    from SlicerSynthReg.api.contrast import ContrastConversion, convert_contrast
    from SlicerSynthReg.api.features import extract_features
    from SlicerSynthReg.api.finetuning import FineTunedModel, fine_tune
    from SlicerSynthReg.api.healthy import HealthyReconstruction, reconstruct_healthy
    from SlicerSynthReg.api.in_context import InContextPrediction, segment_by_examples
    from SlicerSynthReg.api.registration import Registration, register
    from SlicerSynthReg.api.segmentation import Segmentation, segment
    from SlicerSynthReg.api.sequence import SequenceRegistration, register_sequence
    from SlicerSynthReg.api.topology import TopologicalChange, topological_change
    from SlicerSynthReg.errors import (
        BrainNotFound,
        Cancelled,
        GeometryError,
        ImageError,
        MissingFileError,
        RequestError,
        SynthRegError,
        WeightsError,
    )
    from SlicerSynthReg.io.image import Image
    from SlicerSynthReg.io.landmarks import Landmarks
    from SlicerSynthReg.spatial.grid import Grid
    from SlicerSynthReg.spatial.transform import Transform

_MODULES = {
    "SlicerSynthReg.api.apply": ("apply_transform",),
    "SlicerSynthReg.api.contrast": ("ContrastConversion", "convert_contrast"),
    "SlicerSynthReg.api.features": ("extract_features",),
    "SlicerSynthReg.api.finetuning": ("FineTunedModel", "fine_tune"),
    "SlicerSynthReg.api.healthy": ("HealthyReconstruction", "reconstruct_healthy"),
    "SlicerSynthReg.api.in_context": ("InContextPrediction", "segment_by_examples"),
    "SlicerSynthReg.api.registration": ("Registration", "register"),
    "SlicerSynthReg.api.segmentation": ("Segmentation", "segment"),
    "SlicerSynthReg.api.sequence": ("SequenceRegistration", "register_sequence"),
    "SlicerSynthReg.api.topology": ("TopologicalChange", "topological_change"),
    "SlicerSynthReg.errors": (
        "BrainNotFound",
        "Cancelled",
        "GeometryError",
        "ImageError",
        "MissingFileError",
        "RequestError",
        "SynthRegError",
        "WeightsError",
    ),
    "SlicerSynthReg.io.image": ("Image",),
    "SlicerSynthReg.io.landmarks": ("Landmarks",),
    "SlicerSynthReg.spatial.grid": ("Grid",),
    "SlicerSynthReg.spatial.transform": ("Transform",),
}
"""Module -> public names that it defines; none is imported before it is used."""
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'SlicerSynthReg' has no attribute {name!r}")
    try:
        return getattr(import_module(_MODULE_OF[name]), name)
    except ImportError as error:
        missing = import_module("SlicerSynthReg.errors").missing_package_error(error)
        if missing is None:
            raise
        raise missing from error


def __dir__() -> list[str]:
    return __all__
