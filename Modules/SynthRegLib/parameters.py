"""SynthRegister's parameter node: what the panel shows and the scene keeps."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from typing import Annotated

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from SynthRegLib.inputs import RegistrationNodes
from SynthRegLib.settings import Device, Preset, Settings


@parameterNodeWrapper
class SynthRegisterParameterNode:
    """Nodes as in RegistrationNodes, settings as in Settings."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    fixedMask: slicer.vtkMRMLDisplayableNode
    movingMask: slicer.vtkMRMLDisplayableNode
    fixedLabels: slicer.vtkMRMLDisplayableNode
    movingLabels: slicer.vtkMRMLDisplayableNode
    fixedLandmarks: slicer.vtkMRMLMarkupsFiducialNode
    movingLandmarks: slicer.vtkMRMLMarkupsFiducialNode
    initialTransform: slicer.vtkMRMLTransformNode
    preset: Preset = Preset.BRAIN_ACCURATE
    smoothness: Annotated[float, WithinRange(0.2, 5.0)] = 1.0
    device: Device = Device.AUTO
    inverse: bool = True
    jacobian: bool = False


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
_SETTING_NAMES = ("preset", "smoothness", "device", "inverse", "jacobian")


def nodes_of(parameters: SynthRegisterParameterNode) -> RegistrationNodes:
    return RegistrationNodes(**{role: getattr(parameters, name) for role, name in NODE_NAMES.items()})


def settings_of(parameters: SynthRegisterParameterNode) -> Settings:
    return Settings(**{name: getattr(parameters, name) for name in _SETTING_NAMES})
