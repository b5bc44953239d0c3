"""Parameter node of SynthContext. The rows of its tables are kept by rows.Rows."""

# no `from __future__ import annotations`: the wrapper reads the annotations as types
from typing import Union

import slicer
from slicer.parameterNodeWrapper import parameterNodeWrapper
from SynthRegLib.parameter_pack import WITHOUT_WIDGET, ParameterPack

from SlicerSynthReg.parameters.examples import FineTuneParameters, InContextParameters

_Answer = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, slicer.vtkMRMLScalarVolumeNode, None]

IN_CONTEXT = ParameterPack(
    InContextParameters,
    {
        WITHOUT_WIDGET: ("model",),
        "examplesCollapsibleButton": ("output_kind", "missing_is_background"),
        "settingsCollapsibleButton": (
            "predictor",
            "plane",
            "support_slices",
            "support_size",
            "alignment",
            "check_examples",
            "bootstrap",
            "device",
        ),
    },
)
FINE_TUNE = ParameterPack(
    FineTuneParameters,
    {
        WITHOUT_WIDGET: ("pretrained_model",),
        "examplesCollapsibleButton": ("missing_is_background",),
        "fineTuneCollapsibleButton": ("model_name", "minutes", "validation_cases"),
        "settingsCollapsibleButton": ("device",),
    },
    {"pretrained_model": ""},
)


@parameterNodeWrapper
class SynthContextParameterNode(IN_CONTEXT.base(), FINE_TUNE.base()):
    """Fields of IN_CONTEXT and FINE_TUNE; image, answer, target, truth: selected, not yet in a table.

    model, pretrained_model: "" for the first of their lists.
    """

    image: slicer.vtkMRMLScalarVolumeNode
    answer: _Answer
    target: slicer.vtkMRMLScalarVolumeNode
    truth: _Answer
