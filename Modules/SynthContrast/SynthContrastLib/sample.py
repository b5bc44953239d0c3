"""The simulated CT as nodes, for the panel and for the module Sample Data."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib import install
from SynthRegLib.job import JobSteps
from SynthRegLib.node_job import node_job, run_sync
from SynthRegLib.results import (
    Added,
    Loaded,
    NodePlacement,
    Origin,
    add_all,
    add_scan,
    add_segmentation,
    load,
    new_segment,
)
from SynthRegLib.sample_nodes import register_source
from SynthRegLib.worker_process import WorkerProcess
from vtk.util.numpy_support import vtk_to_numpy

from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SynthContrastLib.conversion_job import ABDOMEN

NAME = "SynthContrastAbdomen"
_MODEL = "virtual patient"
_COLOURS = {
    "liver": (0.77, 0.47, 0.34), "aorta": (0.85, 0.25, 0.22), "spleen": (0.62, 0.42, 0.58), "heart": (0.76, 0.3, 0.3),
    "right kidney": (0.73, 0.4, 0.2), "left kidney": (0.73, 0.4, 0.2), "vena cava": (0.2, 0.45, 0.75),
    "vertebra": (0.95, 0.9, 0.75), "rib": (0.95, 0.9, 0.75),
}  # fmt: skip
_OTHER = (0.55, 0.65, 0.55)


@dataclass(frozen=True, eq=False)
class SampleCT:
    """contrast: arterial phase. native: the same patient in native phase. organs: segmentation."""

    contrast: slicer.vtkMRMLScalarVolumeNode
    native: slicer.vtkMRMLScalarVolumeNode
    organs: slicer.vtkMRMLSegmentationNode


def sample_job() -> JobSteps:
    """Return the steps of the simulation; its value is SampleCT."""

    def write(folder) -> Generator[None, None, dict[str, str]]:
        yield
        return {}

    return node_job("ct_sample", write, {}, lambda result: load(result, ("contrast", "native", "labels")), _place)


def register_sample(icon: str) -> None:
    """Register the CT in the module Sample Data. icon: path of its thumbnail."""
    def download(source: object) -> list:
        install.ensure()
        worker = WorkerProcess()
        try:
            made = run_sync(sample_job(), worker.client().run)
        finally:
            worker.shutdown()
        return [made.contrast, made.native, made.organs]

    register_source(NAME, icon, download)


def _place(loaded: Loaded) -> Generator[None, None, SampleCT]:
    found = loaded.report["placement"]["contrast"]
    where = NodePlacement(tuple(found["shape"]), np.array(found["affine"]), None)
    made: dict[str, slicer.vtkMRMLScalarVolumeNode] = {}

    def scan(key: str, name: str, added: Added) -> slicer.vtkMRMLScalarVolumeNode:
        made[key] = add_scan(name, loaded.arrays[key], where, added, window=ABDOMEN)
        return made[key]

    def organs(added: Added) -> slicer.vtkMRMLSegmentationNode:
        present = set(np.unique(vtk_to_numpy(loaded.arrays["labels"])).tolist())
        segments = {
            name: (number, new_segment(name, _COLOURS.get(name, _OTHER)))
            for name, number in ORGANS.items()
            if number in present
        }
        node = add_segmentation(_("Sample organs"), loaded.arrays["labels"], where, added, segments, made["contrast"])
        if node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(False)
        return node

    makers = {
        "contrast": partial(scan, "contrast", _("Sample CT, arterial phase")),
        "native": partial(scan, "native", _("Sample CT, native")),
        "organs": organs,
    }
    return SampleCT(**(yield from add_all(makers, Origin({}, None, _MODEL, ""))))
