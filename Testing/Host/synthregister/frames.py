"""Sequence nodes of scans, as Slicer makes them."""

from __future__ import annotations

import numpy as np
import slicer

from Testing.Slicer.scenes import skewed


def pattern(points: np.ndarray) -> np.ndarray:
    """Smooth structure in the world: (N, 3) RAS mm -> values that fade to nothing away from the middle."""
    bumps = np.array([[-14, 6, 4], [12, -10, -6], [4, 14, 12], [-6, -14, -12]])
    heights = (900.0, 700.0, 1100.0, 500.0)
    return sum(h * np.exp(-((points - c) ** 2).sum(1) / 90.0) for h, c in zip(heights, bumps))


def scan(shift_mm: float, affine: np.ndarray, shape=(36, 32, 24)):
    """A volume node outside the scene: the pattern, shifted along +R."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    values = pattern(points - [shift_mm, 0, 0]).reshape(shape)
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(values.T).astype(np.float32))
    return node


def a_sequence(name: str = "breath", count: int = 4, shown: bool = True, affine: np.ndarray | None = None):
    """Each frame 2 mm further along +R than the one before; in a browser of its own where it is shown."""
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for n in range(count):
        sequence.SetDataNodeAtValue(scan(2.0 * n, skewed() if affine is None else affine), f"{0.4 * n:.1f}")
    if shown:
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return sequence


def break_frame(sequence, number: int) -> None:
    """All its voxels become one value, as of a frame that was not acquired."""
    array = slicer.util.arrayFromVolume(sequence.GetNthDataNode(number))
    array[:] = 7
    slicer.util.arrayFromVolumeModified(sequence.GetNthDataNode(number))
