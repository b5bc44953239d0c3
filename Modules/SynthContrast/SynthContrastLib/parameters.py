"""Parameter node of SynthContrast."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from typing import Union

import slicer
from slicer.parameterNodeWrapper import parameterNodeWrapper
from SynthRegLib.parameter_pack import WITHOUT_WIDGET, ParameterPack

from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SynthContrastLib.input_checks import ContrastNodes

CONTRAST = ParameterPack(
    ContrastParameters,
    {
        WITHOUT_WIDGET: ("model",),
        "settingsCollapsibleButton": ("target_phase", "solver", "steps", "cycle", "device"),
    },
)


@parameterNodeWrapper
class SynthContrastParameterNode(CONTRAST.base()):
    """Fields of ContrastNodes and of CONTRAST."""

    image: slicer.vtkMRMLScalarVolumeNode
    labels: Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]


def nodes_of(parameters: SynthContrastParameterNode) -> ContrastNodes:
    return ContrastNodes(parameters.image, parameters.labels)
