"""The scan that is converted, and what stands in the way: each message says what was found, expected, what to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.checks import fault_of_image, fault_of_labels, fault_of_parent
from vtk.util.numpy_support import vtk_to_numpy

from SlicerSynthReg.evaluate.ct_values import cut_off, hu_fault
from SynthContrastLib.models import fault_of_model
from SynthContrastLib.settings import ContrastSettings

_LOOKED_AT = 200_000
"""Voxels, evenly over the scan: a few milliseconds."""


@dataclass(frozen=True)
class ContrastNodes:
    """image: the CT. labels: segmentation or label map of its organs, where their HU are wanted."""

    image: slicer.vtkMRMLScalarVolumeNode | None = None
    labels: slicer.vtkMRMLDisplayableNode | None = None

    def given(self) -> dict[str, slicer.vtkMRMLNode]:
        """Name -> node, those that are there."""
        both = {"image": self.image, "labels": self.labels}
        return {name: node for name, node in both.items() if node is not None}


@dataclass(frozen=True)
class Glance:
    """What a look at a sample of the values tells. fault: why they are no HU, or "". notes: what is cut off."""

    fault: str = ""
    notes: tuple[str, ...] = ()


class Glances:
    """Of the last scan that was looked at, kept until its voxels change."""

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._found = Glance()

    def of(self, image: slicer.vtkMRMLScalarVolumeNode) -> Glance:
        """image: passed fault_of_image."""
        scalars = image.GetImageData().GetPointData().GetScalars()
        key = (image.GetID(), scalars.GetMTime())
        if key != self._key:
            voxels = vtk_to_numpy(scalars)
            values = voxels[:: max(1, len(voxels) // _LOOKED_AT)].astype(np.float32)
            fault = hu_fault(values) if np.isfinite(values).all() else _not_finite()
            self._key, self._found = key, Glance(fault, () if fault else tuple(cut_off(values)))
        return self._found


def fault(nodes: ContrastNodes, settings: ContrastSettings, glances: Glances) -> str:
    """What is missing or wrong, as far as can be told at a glance; "" when nothing is."""
    absent = fault_of_model(settings)
    if absent:
        return absent
    if nodes.image is None:
        return _("Choose the CT that is to be converted, or load the sample images.")
    found = fault_of_image(nodes.image) or fault_of_parent(nodes.image)
    if not found:
        found = glances.of(nodes.image).fault
    if not found and nodes.labels is not None:
        found = fault_of_labels(nodes.labels) or fault_of_parent(nodes.labels)
    return found


def _not_finite() -> str:
    return _("Found voxels that are NaN or infinite, expected HU. Load the original series, or repair the volume.")
