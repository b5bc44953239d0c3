"""Marking anomalies anew, from the map that is there, as the threshold is moved."""

from __future__ import annotations

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from SynthHealthyLib.made import SEGMENT, Made


def mark(made: Made, threshold: float) -> float | None:
    """The segment holds what is at least `threshold` in the anomaly map; returns it in ml. None, and nothing is
    changed, where the segment is no longer on the map's voxels, as when it was edited by hand."""
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segment = made.segmentation.GetSegmentation().GetSegment(SEGMENT)
    layer = None if segment is None else segment.GetRepresentation(kind)
    image = made.anomaly.GetImageData()
    if layer is None or layer.GetDimensions() != image.GetDimensions():
        return None
    scalars = layer.GetPointData().GetScalars()
    values = vtk_to_numpy(image.GetPointData().GetScalars())
    marked = (values >= threshold) & (values > 0)
    vtk_to_numpy(scalars)[:] = marked * segment.GetLabelValue()
    scalars.Modified()
    layer.Modified()
    made.segmentation.GetSegmentation().InvalidateNonSourceRepresentations()
    return float(np.count_nonzero(marked) * np.prod(made.anomaly.GetSpacing()) / 1000)
