"""Parameter node of SynthRegister."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from dataclasses import fields
from typing import Annotated, Union

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from SlicerSynthReg.parameters.registration import RegisterParameters
from SynthRegLib.parameter_pack import ParameterPack
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.settings import Preset, Reference, Settings

# None is named in unions, as the wrapper requires; a single node type accepts it by itself
_Labels = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]
_Transform = Union[
    slicer.vtkMRMLLinearTransformNode,
    slicer.vtkMRMLGridTransformNode,
    slicer.vtkMRMLBSplineTransformNode,
    slicer.vtkMRMLTransformNode,
    None,
]

REGISTER = ParameterPack(
    RegisterParameters,
    {
        "guidesCollapsibleButton": ("landmark_start",),
        "settingsCollapsibleButton": ("regularization", "device"),
    },
)


@parameterNodeWrapper
class SynthRegisterParameterNode(REGISTER.base()):
    """Fields of RegistrationNodes, of Settings and of REGISTER; sequence...: of a sequence registration."""

    fixed: slicer.vtkMRMLScalarVolumeNode
    moving: slicer.vtkMRMLScalarVolumeNode
    fixed_mask: _Labels
    moving_mask: _Labels
    fixed_labels: _Labels
    moving_labels: _Labels
    fixed_landmarks: slicer.vtkMRMLMarkupsFiducialNode
    moving_landmarks: slicer.vtkMRMLMarkupsFiducialNode
    initial_transform: _Transform
    preset: Preset = Preset.AUTOMATIC
    inverse: bool = True
    jacobian: bool = False
    sequence: slicer.vtkMRMLSequenceNode
    sequence_reference: Reference = Reference.MIDDLE
    sequence_frame: Annotated[int, WithinRange(0, 9999)] = 0


def nodes_of(parameters: SynthRegisterParameterNode) -> RegistrationNodes:
    return RegistrationNodes(**{one.name: getattr(parameters, one.name) for one in fields(RegistrationNodes)})


def settings_of(parameters: SynthRegisterParameterNode) -> Settings:
    return Settings(parameters.preset, REGISTER.read(parameters), parameters.inverse, parameters.jacobian)
