"""Which slice a preview is of, and which slices of the scan it needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.placement import between, ijk_to_ras, mapped, parent_matrix

from SlicerSynthReg.methods.mfm.solution import Solution, calls
from SlicerSynthReg.request import RequestError
from SynthContrastLib.models import chosen
from SynthContrastLib.settings import ContrastSettings


@dataclass(frozen=True)
class Part:
    """slices: first and end of the range of k that is needed. number: of the slice among them as the backend counts,
    from the lowest at 1."""

    slices: tuple[int, int]
    number: int


def slice_in_view(image: slicer.vtkMRMLScalarVolumeNode) -> int | None:
    """k of the slice of `image` through the middle of the red view; None where there is no such view."""
    red = [view for view in slicer.util.getNodesByClass("vtkMRMLSliceNode") if view.GetLayoutName() == "Red"]
    if not red:
        return None
    matrix = slicer.util.arrayFromVTKMatrix(red[0].GetSliceToRAS())
    own = mapped(between(None, image.GetParentTransformNode()), matrix[None, :3, 3])[0]
    k = np.linalg.solve(ijk_to_ras(image), np.append(own, 1.0))[2]
    return int(np.clip(round(k), 0, image.GetImageData().GetDimensions()[2] - 1))


def part_for(image: slicer.vtkMRMLScalarVolumeNode, settings: ContrastSettings, k: int | None) -> Part:
    """Slice k (the middle one for None) and its neighbours as far as the network looks. Raises RequestError where the
    volume's slices are not axial, or are bent."""
    matrix = parent_matrix(image)
    if matrix is None:
        raise RequestError(
            _(
                "Found {name} under a transform that bends, expected a straight one for a preview. Press Apply for the "
                "whole volume."
            ).format(name=image.GetName())
        )
    axes = (matrix @ ijk_to_ras(image))[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    if abs(axes[2]).argmax() != 2:
        raise RequestError(
            _(
                "Found that {name} is not stored in axial slices, expected these for a preview. Press Apply for the "
                "whole volume."
            ).format(name=image.GetName())
        )
    card = chosen(settings)
    architecture = card.architecture if card is not None else {}
    solution = Solution(settings.solver.value, settings.steps)
    reach = architecture.get("neighbours", 1) * calls(solution, architecture.get("way", "flow"))
    count = image.GetImageData().GetDimensions()[2]
    k = count // 2 if k is None else k
    low, high = max(0, k - reach), min(count, k + reach + 1)
    if high - low < 2:  # a file of one slice is no volume
        low, high = max(0, high - 2), min(count, low + 2)
    return Part((low, high), k - low + 1 if axes[2, 2] > 0 else high - k)
