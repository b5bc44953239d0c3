"""A computed head with a lesion, and another head as reference: to try the buttons, for the module Sample Data too."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.phantom import make_phantom
from SynthRegLib.samples import add_image
from SynthRegLib.work import finished

NAME = "SynthHealthyHead"
_CENTRE_MM, _RADIUS_MM, _EDGE_MM = np.array([-22.0, -30.0, 24.0]), 14.0, 1.5
_BRIGHT = 640.0


@dataclass(frozen=True, eq=False)
class SickHead:
    """Both int16 (I, J, K), with their affines: 4x4, index -> RAS mm."""

    scan: np.ndarray
    scan_affine: np.ndarray
    reference: np.ndarray
    reference_affine: np.ndarray


@dataclass(frozen=True)
class SampleNodes:
    scan: slicer.vtkMRMLScalarVolumeNode
    reference: slicer.vtkMRMLScalarVolumeNode


def make_sick_head(voxel_mm: float = 2.0) -> SickHead:
    """The scan, as T2 shows it, has a bright lesion in its left half; the reference is another head, as T1 shows it."""
    phantom = make_phantom(voxel_mm)
    shape, affine = phantom.moving.shape, phantom.moving_affine
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    away = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - _CENTRE_MM, axis=-1)
    share = 1.0 / (1.0 + np.exp(np.clip((away - _RADIUS_MM) / _EDGE_MM, -30.0, 30.0)))
    scan = (phantom.moving * (1.0 - share) + _BRIGHT * share).astype(np.int16)
    return SickHead(scan, affine, phantom.fixed, phantom.fixed_affine)


def add_sick_head(head: SickHead) -> Generator[None, None, SampleNodes]:
    """A step a node."""
    scan = add_image(head.scan, head.scan_affine, _("Sample T2 with a lesion"), (620.0, 310.0))
    yield
    return SampleNodes(scan, add_image(head.reference, head.reference_affine, _("Sample reference T1"), (480.0, 260.0)))


def register_sample(icon: str) -> None:
    """Offer both in the module Sample Data. icon: path of the thumbnail."""
    import SampleData

    def nodes(source: object) -> list:
        made = finished(add_sick_head(make_sick_head()))
        return [made.scan, made.reference]

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SynthReg", sampleName=NAME, thumbnailFileName=icon, customDownloader=nodes
    )
