"""Sample data: a simulated head with a lesion, and another head as reference."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.node_job import run_steps
from SynthRegLib.phantom import make_phantom
from SynthRegLib.sample_nodes import add_image, register_source

NAME = "SynthHealthyHead"
_CENTRE_MM, _RADIUS_MM, _EDGE_MM = np.array([-22.0, -30.0, 24.0]), 14.0, 1.5
_BRIGHT = 640.0


@dataclass(frozen=True, eq=False)
class LesionPhantom:
    """Both int16 (I, J, K), with their affines: 4x4, index -> RAS mm."""

    scan: np.ndarray
    scan_affine: np.ndarray
    reference: np.ndarray
    reference_affine: np.ndarray


@dataclass(frozen=True)
class SampleNodes:
    scan: slicer.vtkMRMLScalarVolumeNode
    reference: slicer.vtkMRMLScalarVolumeNode


def make_lesion_phantom(voxel_mm: float = 2.0) -> LesionPhantom:
    """Return a T2-weighted head with a bright lesion on the left, and another, T1-weighted head."""
    phantom = make_phantom(voxel_mm)
    shape, affine = phantom.moving.shape, phantom.moving_affine
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    away = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - _CENTRE_MM, axis=-1)
    share = 1.0 / (1.0 + np.exp(np.clip((away - _RADIUS_MM) / _EDGE_MM, -30.0, 30.0)))
    scan = (phantom.moving * (1.0 - share) + _BRIGHT * share).astype(np.int16)
    return LesionPhantom(scan, affine, phantom.fixed, phantom.fixed_affine)


def add_lesion_phantom(head: LesionPhantom) -> Generator[None, None, SampleNodes]:
    """Add both, one node per step."""
    scan = add_image(head.scan, head.scan_affine, _("Sample T2 with a lesion"), (620.0, 310.0))
    yield
    return SampleNodes(scan, add_image(head.reference, head.reference_affine, _("Sample reference T1"), (480.0, 260.0)))


def register_sample(icon: str) -> None:
    """Register both in the module Sample Data. icon: path of the thumbnail."""
    def nodes(source: object) -> list:
        made = run_steps(add_lesion_phantom(make_lesion_phantom()))
        return [made.scan, made.reference]

    register_source(NAME, icon, nodes)
