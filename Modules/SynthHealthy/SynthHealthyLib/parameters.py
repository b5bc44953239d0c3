"""Parameter node of SynthHealthy."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
import slicer
from slicer.parameterNodeWrapper import parameterNodeWrapper
from SynthRegLib.parameter_pack import ParameterPack

from SlicerSynthReg.parameters.derived_images import HealthyParameters

HEALTHY = ParameterPack(
    HealthyParameters,
    {"settingsCollapsibleButton": ("grid", "modality", "mirror", "threshold", "device")},
)


@parameterNodeWrapper
class SynthHealthyParameterNode(HEALTHY.base()):
    """image: the scan. reference: fixed image of the registration via the pseudo-healthy image."""

    image: slicer.vtkMRMLScalarVolumeNode
    reference: slicer.vtkMRMLScalarVolumeNode
