"""SynthContext's parameter node: what the panel shows and the scene keeps. The tables' rows are kept by rows.Rows."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from typing import Annotated, Union

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from SynthRegLib.settings import Device

from SynthContextLib.settings import Alignment, Kind, Plane, Settings, Tuning, Way

_Answer = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, slicer.vtkMRMLScalarVolumeNode, None]


@parameterNodeWrapper
class SynthContextParameterNode:
    """image, answer, target, truth: chosen and not yet in a table. The rest as in Settings and Tuning; model and start:
    names, "" for the first of the list."""

    image: slicer.vtkMRMLScalarVolumeNode
    answer: _Answer
    target: slicer.vtkMRMLScalarVolumeNode
    truth: _Answer
    kind: Kind = Kind.GUESS
    absent: bool = False
    model: str = ""
    way: Way = Way.AUTO
    plane: Plane = Plane.AXIAL
    spread: Annotated[int, WithinRange(0, 4)] = 1
    size: Annotated[int, WithinRange(1, 64)] = 8
    alignment: Alignment = Alignment.AFFINE
    check: bool = True
    samples: Annotated[int, WithinRange(0, 32)] = 0
    device: Device = Device.AUTO
    name: str = "my-model"
    start: str = ""
    minutes: Annotated[float, WithinRange(0.1, 1440.0)] = 20.0
    leftOut: Annotated[int, WithinRange(0, 50)] = 1


def settings_of(parameters: SynthContextParameterNode, kind: Kind) -> Settings:
    """kind: what the examples show, where it was guessed."""
    names = ("model", "way", "plane", "spread", "size", "alignment", "check", "samples", "device", "absent")
    return Settings(kind=kind, **{name: getattr(parameters, name) for name in names})


def tuning_of(parameters: SynthContextParameterNode, start: str) -> Tuning:
    """start: the one that is shown."""
    return Tuning(parameters.name, start, parameters.minutes, parameters.leftOut, parameters.device, parameters.absent)
