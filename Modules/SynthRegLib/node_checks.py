"""Quick checks of single nodes. Each returns a message (found, expected, remedy), or "" for a valid node."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from SynthRegLib.node_geometry import parent_matrix


def parent_validation_error(node: slicer.vtkMRMLTransformableNode) -> str:
    """Check that the parent transform is invertible."""
    matrix = parent_matrix(node)
    if matrix is not None and (not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9):
        return _(
            "Found that the parent transform of {name} is singular, expected an invertible one. Correct that "
            "transform, or remove {name} from it."
        ).format(name=node.GetName())
    return ""


def image_validation_error(node: slicer.vtkMRMLNode) -> str:
    """Check for a 3-D volume with one value per voxel."""
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
            "Found {count} values per voxel in {name} (a colour or vector volume), expected one. Convert it with "
            "the module Vector to Scalar Volume."
        ).format(count=components, name=name)
    if min(image.GetDimensions()) < 2:
        return _(
            "Found a single slice in {name} ({size} voxels), expected a 3-D volume. Load the whole series."
        ).format(name=name, size=" x ".join(str(n) for n in image.GetDimensions()))
    return ""


def labels_validation_error(node: slicer.vtkMRMLNode) -> str:
    """Check for a non-empty label map or segmentation."""
    name = node.GetName()
    if node.IsA("vtkMRMLSegmentationNode"):
        if node.GetSegmentation().GetNumberOfSegments() == 0:
            return _("Found no segments in {name}, expected at least one. Draw one, or choose None.").format(name=name)
        return ""
    if not node.IsA("vtkMRMLLabelMapVolumeNode"):
        return _(
            "Found {name}, a {kind}, as labels, expected a segmentation or a label map. Convert it in the module "
            "Volumes or Segmentations."
        ).format(name=name, kind=node.GetNodeTagName())
    if node.GetImageData() is None:
        return _("Found no voxels in {name}, expected a label map. Load it again, or choose None.").format(name=name)
    return ""
