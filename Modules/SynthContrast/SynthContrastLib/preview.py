"""The slice of a preview, and the slices that it depends on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.node_geometry import between, ijk_to_ras, mapped, parent_matrix

from SlicerSynthReg.contrast.config import SolverConfig, nfe
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SynthContrastLib.models import chosen


@dataclass(frozen=True)
class SlicePart:
    """slices: range of k that is needed. number: of the slice among them, from 1."""

    slices: tuple[int, int]
    number: int


def slice_in_view(image: slicer.vtkMRMLScalarVolumeNode) -> int | None:
    """Return k of the slice through the centre of the red view, None without that view."""
    red = [view for view in slicer.util.getNodesByClass("vtkMRMLSliceNode") if view.GetLayoutName() == "Red"]
    if not red:
        return None
    matrix = slicer.util.arrayFromVTKMatrix(red[0].GetSliceToRAS())
    own = mapped(between(None, image.GetParentTransformNode()), matrix[None, :3, 3])[0]
    k = np.linalg.solve(ijk_to_ras(image), np.append(own, 1.0))[2]
    return int(np.clip(round(k), 0, image.GetImageData().GetDimensions()[2] - 1))


def part_for(image: slicer.vtkMRMLScalarVolumeNode, parameters: ContrastParameters, k: int | None) -> SlicePart:
    """Return slice k (None: the middle) and the neighbours in the network's receptive field. Raises RequestError for
    volumes without axial slices and under non-linear transforms."""
    matrix = parent_matrix(image)
    if matrix is None:
        raise RequestError(
            _(
                "Found {name} under a non-linear transform, expected a linear one for a preview. Press Apply for "
                "the whole volume."
            ).format(name=image.GetName())
        )
    axes = (matrix @ ijk_to_ras(image))[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    if abs(axes[2]).argmax() != 2:
        raise RequestError(
            _(
                "Found that {name} is not stored in axial slices, expected axial slices for a preview. Press Apply "
                "for the whole volume."
            ).format(name=image.GetName())
        )
    card = chosen(parameters)
    architecture = card.architecture if card is not None else {}
    solver = SolverConfig(parameters.solver, parameters.steps)
    reach = architecture.get("neighbours", 1) * nfe(solver, architecture.get("method", "flow"))
    count = image.GetImageData().GetDimensions()[2]
    k = count // 2 if k is None else k
    low, high = max(0, k - reach), min(count, k + reach + 1)
    if high - low < 2:  # a file of one slice is no volume
        low, high = max(0, high - 2), min(count, low + 2)
    return SlicePart((low, high), k - low + 1 if axes[2, 2] > 0 else high - k)
