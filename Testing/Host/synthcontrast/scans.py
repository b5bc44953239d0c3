"""CT in the scene, as good or as wrong as a test wants it. Imports no torch."""

from __future__ import annotations

import numpy as np
import slicer

AFFINE = np.array([[-4.0, 0, 0, 80.0], [0, -4.0, 0, 70.0], [0, 0, 5.0, -30.0], [0, 0, 0, 1.0]])
AORTA = (slice(24, 28), slice(16, 20))


def ct_values(seed: int = 0) -> np.ndarray:
    """A body of fat and organs with a bright aorta, in air: (40, 36, 14) HU."""
    noise = np.random.default_rng(seed).normal(0, 8, (40, 36, 14))
    hu = np.full(noise.shape, -1000.0) + noise / 4
    hu[6:34, 8:28] = -100 + noise[6:34, 8:28]
    hu[10:20, 12:24] = 55 + noise[10:20, 12:24]
    hu[AORTA] = 300 + noise[AORTA]
    hu[18:22, 24:27] = 1050
    return hu.round().astype(np.int16)


def a_ct(name: str = "scan", values: np.ndarray | None = None):
    values = ct_values() if values is None else values
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T), AFFINE, name)


def organs(name: str = "organs"):
    """Segments "Liver" and "Aorta"."""
    labels = np.zeros((14, 36, 40), np.uint8)
    labels.T[10:20, 12:24] = 1
    labels.T[AORTA] = 2
    map_node = slicer.util.addVolumeFromArray(labels, AFFINE, "made of", "vtkMRMLLabelMapVolumeNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(map_node, node)
    for n, segment in enumerate(("Liver", "Aorta")):
        node.GetSegmentation().GetNthSegment(n).SetName(segment)
    slicer.mrmlScene.RemoveNode(map_node)
    return node
