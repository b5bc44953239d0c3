"""What is wrong with one chosen node, as far as can be told at a glance; each says found, expected, remedy, or ""."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from SynthRegLib.placement import parent_matrix


def fault_of_parent(node: slicer.vtkMRMLTransformableNode) -> str:
    """Whether it can be brought to the world and back."""
    matrix = parent_matrix(node)
    if matrix is not None and (not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9):
        return _(
            "Found that the transform above {name} flattens it, expected one that can be undone. Correct that "
            "transform, or take {name} out of it."
        ).format(name=node.GetName())
    return ""


def fault_of_image(node: slicer.vtkMRMLNode) -> str:
    """Whether it is a scan: one 3-D volume, one value a voxel."""
    name = node.GetName()
    if node.IsA("vtkMRMLSequenceNode"):
        return _(
            "Found the sequence {name}, expected one volume. Show the time point you want in the module Sequences and "
            "choose its volume."
        ).format(name=name)
    if node.IsA("vtkMRMLLabelMapVolumeNode") or not node.IsA("vtkMRMLScalarVolumeNode"):
        kind = _("label map") if node.IsA("vtkMRMLLabelMapVolumeNode") else node.GetNodeTagName()
        return _(
            "Found the {kind} {name} as an image, expected a scan with intensities. Choose the scan; label maps go "
            "under Labels or Masks."
        ).format(kind=kind, name=name)
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        return _(
            "Found no voxels in {name}, expected a volume with an image. Load it again, or choose another volume."
        ).format(name=name)
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        return _(
            "Found {count} values a voxel in {name} (a colour or vector volume), expected one. Convert it with the "
            "module Vector to Scalar Volume."
        ).format(count=components, name=name)
    if min(image.GetDimensions()) < 2:
        return _(
            "Found a single slice in {name} ({size} voxels), expected a 3-D volume. Load the whole series."
        ).format(name=name, size=" x ".join(str(n) for n in image.GetDimensions()))
    return ""


def fault_of_labels(node: slicer.vtkMRMLNode) -> str:
    """Whether it is a label map or a segmentation that holds something."""
    name = node.GetName()
    if node.IsA("vtkMRMLSegmentationNode"):
        if node.GetSegmentation().GetNumberOfSegments() == 0:
            return _("Found no segments in {name}, expected at least one. Draw one, or choose None.").format(name=name)
        return ""
    if not node.IsA("vtkMRMLLabelMapVolumeNode"):
        return _(
            "Found {name}, a {kind}, where labels belong, expected a segmentation or a label map. Convert it in the "
            "module Volumes or Segmentations."
        ).format(name=name, kind=node.GetNodeTagName())
    if node.GetImageData() is None:
        return _("Found no voxels in {name}, expected a label map. Load it again, or choose None.").format(name=name)
    return ""
