"""SynthContrast's parameter node: what the panel shows and the scene keeps."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from typing import Annotated, Union

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from SynthRegLib.settings import Device

from SynthContrastLib.scan import ContrastNodes
from SynthContrastLib.settings import ContrastSettings, Direction, Solver


@parameterNodeWrapper
class SynthContrastParameterNode:
    """Nodes as in ContrastNodes, settings as in ContrastSettings."""

    image: slicer.vtkMRMLScalarVolumeNode
    labels: Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]
    direction: Direction = Direction.TO_NATIVE
    solver: Solver = Solver.EULER
    steps: Annotated[int, WithinRange(1, 100)] = 2
    cycle: bool = True
    model: str = ""
    device: Device = Device.AUTO


_SETTING_NAMES = ("direction", "solver", "steps", "cycle", "model", "device")


def nodes_of(parameters: SynthContrastParameterNode) -> ContrastNodes:
    return ContrastNodes(parameters.image, parameters.labels)


def settings_of(parameters: SynthContrastParameterNode) -> ContrastSettings:
    return ContrastSettings(**{name: getattr(parameters, name) for name in _SETTING_NAMES})
