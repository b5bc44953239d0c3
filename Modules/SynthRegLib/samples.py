"""The sample pair as nodes: for the panel's button and for the module Sample Data."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SynthRegLib.inputs import RegistrationNodes
from SynthRegLib.phantom import Phantom, make_phantom

NAME = "SynthRegisterPair"


def add_sample(phantom: Phantom) -> RegistrationNodes:
    """Both images, their label maps and twelve landmarks each."""
    landmarks = [
        _markups(_("Sample {side} landmarks").format(side=side), points)
        for side, points in (("T1", phantom.fixed_points), ("T2", phantom.moving_points))
    ]
    return RegistrationNodes(
        fixed=_volume(phantom.fixed, phantom.fixed_affine, _("Sample T1"), (480.0, 260.0)),
        moving=_volume(phantom.moving, phantom.moving_affine, _("Sample T2"), (620.0, 310.0)),
        fixed_labels=_labels(phantom.fixed_labels, phantom.fixed_affine, _("Sample T1 labels")),
        moving_labels=_labels(phantom.moving_labels, phantom.moving_affine, _("Sample T2 labels")),
        fixed_landmarks=landmarks[0],
        moving_landmarks=landmarks[1],
    )


def register_sample(icon: str) -> None:
    """Offer the pair in the module Sample Data. icon: path of its thumbnail."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SynthReg",
        sampleName=NAME,
        thumbnailFileName=icon,
        customDownloader=lambda source: list(add_sample(make_phantom()).given().values()),
    )


def _volume(values: np.ndarray, affine: np.ndarray, name: str, window: tuple[float, float]):
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T), affine, name)
    node.CreateDefaultDisplayNodes()
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(*window)
    return node


def _labels(values: np.ndarray, affine: np.ndarray, name: str):
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T), affine, name, "vtkMRMLLabelMapVolumeNode")
    node.CreateDefaultDisplayNodes()
    return node


def _markups(name: str, points: np.ndarray):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    for number, point in enumerate(points, start=1):
        node.AddControlPoint(vtk.vtkVector3d(*point), str(number))
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetVisibility(False)
    return node
