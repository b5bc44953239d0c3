"""SynthRegister's parameter node: what the panel shows and the scene keeps."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from typing import Annotated, Union

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from SynthRegLib.inputs import RegistrationNodes
from SynthRegLib.settings import Device, Preset, Reference, Settings

# None is named in unions, as the wrapper asks; a single node type takes it by itself
_Labels = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]
_Transform = Union[
    slicer.vtkMRMLLinearTransformNode,
    slicer.vtkMRMLGridTransformNode,
    slicer.vtkMRMLBSplineTransformNode,
    slicer.vtkMRMLTransformNode,
    None,
]


@parameterNodeWrapper
class SynthRegisterParameterNode:
    """Nodes as in RegistrationNodes, settings as in Settings."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    fixedMask: _Labels
    movingMask: _Labels
    fixedLabels: _Labels
    movingLabels: _Labels
    fixedLandmarks: slicer.vtkMRMLMarkupsFiducialNode
    movingLandmarks: slicer.vtkMRMLMarkupsFiducialNode
    initialTransform: _Transform
    landmarkStart: bool = False
    preset: Preset = Preset.BRAIN_ACCURATE
    smoothness: Annotated[float, WithinRange(0.2, 5.0)] = 1.0
    device: Device = Device.AUTO
    inverse: bool = True
    jacobian: bool = False
    sequence: slicer.vtkMRMLSequenceNode
    sequenceReference: Reference = Reference.MIDDLE
    sequenceFrame: Annotated[int, WithinRange(0, 9999)] = 0


NODE_NAMES = {
    "fixed": "fixed",
    "moving": "moving",
    "fixed_mask": "fixedMask",
    "moving_mask": "movingMask",
    "fixed_labels": "fixedLabels",
    "moving_labels": "movingLabels",
    "fixed_landmarks": "fixedLandmarks",
    "moving_landmarks": "movingLandmarks",
    "initial_transform": "initialTransform",
}
"""Field of RegistrationNodes -> field of the parameter node."""
_SETTING_NAMES = {
    "preset": "preset",
    "landmark_start": "landmarkStart",
    "smoothness": "smoothness",
    "device": "device",
    "inverse": "inverse",
    "jacobian": "jacobian",
}
"""Field of Settings -> field of the parameter node."""


def nodes_of(parameters: SynthRegisterParameterNode) -> RegistrationNodes:
    return RegistrationNodes(**{role: getattr(parameters, name) for role, name in NODE_NAMES.items()})


def settings_of(parameters: SynthRegisterParameterNode) -> Settings:
    return Settings(**{field: getattr(parameters, name) for field, name in _SETTING_NAMES.items()})
