"""The sample pair as nodes, for the panel and for the module Sample Data."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from SynthRegLib.display import set_window
from SynthRegLib.node_job import run_steps
from SynthRegLib.phantom import Phantom, make_phantom
from SynthRegLib.registration_inputs import RegistrationNodes

NAME = "SynthRegisterPair"


def add_sample(phantom: Phantom) -> Generator[None, None, RegistrationNodes]:
    """Add both images, their label maps and twelve landmarks each, one node per step."""
    fixed = add_image(phantom.fixed, phantom.fixed_affine, _("Sample T1"), (480.0, 260.0))
    yield
    moving = add_image(phantom.moving, phantom.moving_affine, _("Sample T2"), (620.0, 310.0))
    yield
    fixed_labels = _labels(phantom.fixed_labels, phantom.fixed_affine, _("Sample T1 labels"))
    yield
    moving_labels = _labels(phantom.moving_labels, phantom.moving_affine, _("Sample T2 labels"))
    yield
    fixed_landmarks = _markups(_("Sample T1 landmarks"), phantom.fixed_points)
    moving_landmarks = _markups(_("Sample T2 landmarks"), phantom.moving_points)
    return RegistrationNodes(
        fixed=fixed,
        moving=moving,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_landmarks=fixed_landmarks,
        moving_landmarks=moving_landmarks,
    )


def register_sample(icon: str) -> None:
    """Register the pair in the module Sample Data. icon: path of its thumbnail."""
    register_source(NAME, icon, lambda source: list(run_steps(add_sample(make_phantom())).given().values()))


def register_source(name: str, icon: str, download: Callable[[object], list]) -> None:
    """Register a sample in the module Sample Data. icon: path of its thumbnail. download: adds and returns its nodes;
    called with the source when the user clicks the thumbnail."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SynthReg",
        sampleName=name,
        thumbnailFileName=icon,
        uris=[],  # Sample Data takes the length of both lists
        fileNames=[],
        customDownloader=download,
    )


def add_image(
    values: np.ndarray, affine: np.ndarray, name: str, window: tuple[float, float]
) -> slicer.vtkMRMLScalarVolumeNode:
    """values: (I, J, K). affine: 4x4, index -> RAS mm. window: and level."""
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T), affine, name)
    node.CreateDefaultDisplayNodes()
    set_window(node, *window)
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
