"""SynthHealthy's parameter node: what the panel shows and the scene keeps."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from typing import Annotated

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from SynthRegLib.settings import Device

from SynthHealthyLib.settings import HealthySettings, Modality, OtherSide, Voxels


@parameterNodeWrapper
class SynthHealthyParameterNode:
    """image: the scan. reference: the brain onto which it is registered through its anatomy in health. The rest as in
    HealthySettings."""

    image: slicer.vtkMRMLScalarVolumeNode
    reference: slicer.vtkMRMLScalarVolumeNode
    voxels: Voxels = Voxels.FINE
    modality: Modality = Modality.AUTO
    otherSide: OtherSide = OtherSide.DEFORMABLE
    threshold: Annotated[float, WithinRange(0.05, 0.95)] = 0.5
    device: Device = Device.AUTO


def settings_of(parameters: SynthHealthyParameterNode) -> HealthySettings:
    return HealthySettings(
        parameters.voxels, parameters.modality, parameters.otherSide, parameters.threshold, parameters.device
    )
