"""Validation of the CT; messages say found, expected, remedy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.node_checks import image_validation_error, labels_validation_error, parent_validation_error
from vtk.util.numpy_support import vtk_to_numpy

from SlicerSynthReg.metrics.ct_values import clipping_warnings, hu_validation_error
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SynthContrastLib.models import model_validation_error

_LOOKED_AT = 200_000
"""Voxels, evenly over the scan: a few milliseconds."""


@dataclass(frozen=True)
class ContrastNodes:
    """image: the CT. labels: segmentation or label map of organs."""

    image: slicer.vtkMRMLScalarVolumeNode | None = None
    labels: slicer.vtkMRMLDisplayableNode | None = None

    def given(self) -> dict[str, slicer.vtkMRMLNode]:
        """Return the chosen nodes by field name."""
        both = {"image": self.image, "labels": self.labels}
        return {name: node for name, node in both.items() if node is not None}


@dataclass(frozen=True)
class CTCheck:
    """Check of a sample of the values. fault: why they are no HU, or "". notes: such as clipped values."""

    fault: str = ""
    notes: tuple[str, ...] = ()


class CTChecks:
    """Cache of the last check, valid until the voxels change."""

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._found = CTCheck()

    def of(self, image: slicer.vtkMRMLScalarVolumeNode) -> CTCheck:
        """Return the check of an image that passed image_validation_error."""
        scalars = image.GetImageData().GetPointData().GetScalars()
        key = (image.GetID(), scalars.GetMTime())
        if key != self._key:
            voxels = vtk_to_numpy(scalars)
            values = voxels[:: max(1, len(voxels) // _LOOKED_AT)].astype(np.float32)
            fault = hu_validation_error(values) if np.isfinite(values).all() else _not_finite()
            self._key, self._found = key, CTCheck(fault, () if fault else tuple(clipping_warnings(values)))
        return self._found


def contrast_validation_error(nodes: ContrastNodes, parameters: ContrastParameters, glances: CTChecks) -> str:
    """Return what is missing or invalid, or ""."""
    absent = model_validation_error(parameters)
    if absent:
        return absent
    if nodes.image is None:
        return _("Choose the CT, or load the sample images.")
    found = image_validation_error(nodes.image) or parent_validation_error(nodes.image)
    if not found:
        found = glances.of(nodes.image).fault
    if not found and nodes.labels is not None:
        found = labels_validation_error(nodes.labels) or parent_validation_error(nodes.labels)
    return found


def _not_finite() -> str:
    return _("Found voxels that are NaN or infinite, expected HU. Load the original series, or repair the volume.")
