"""What the user can choose beside the nodes, and what it means to the backend."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _
from SynthRegLib.settings import Device, Settings


class Voxels(enum.Enum):
    """On which voxels the results lie."""

    FINE = "1mm"
    INPUT = "input"

    def label(self) -> str:
        return {Voxels.FINE: _("upright, 1 mm"), Voxels.INPUT: _("the scan's own")}[self]


class Modality(enum.Enum):
    AUTO = "auto"
    MR = "mr"
    CT = "ct"

    def label(self) -> str:
        return {
            Modality.AUTO: _("by its values"),
            Modality.MR: _("MR, of any contrast"),
            Modality.CT: _("CT (seen from 0 to 80 HU)"),
        }[self]


class OtherSide(enum.Enum):
    """How the brain's other half is brought over, as a help and for comparison."""

    DEFORMABLE = "deformable"
    AFFINE = "affine"
    NONE = "none"

    def label(self) -> str:
        return {
            OtherSide.DEFORMABLE: _("bent into place"),
            OtherSide.AFFINE: _("shifted and turned (quicker)"),
            OtherSide.NONE: _("not used"),
        }[self]


@dataclass(frozen=True)
class HealthySettings:
    """threshold: value of the anomaly map from which on a voxel is marked."""

    voxels: Voxels = Voxels.FINE
    modality: Modality = Modality.AUTO
    other_side: OtherSide = OtherSide.DEFORMABLE
    threshold: float = 0.5
    device: Device = Device.AUTO

    def parameters(self) -> dict[str, Any]:
        """Of a healthy request."""
        return {
            "grid": self.voxels.value,
            "modality": self.modality.value,
            "mirror": self.other_side.value,
            "threshold": float(self.threshold),
            "device": self.device.value,
        }


@dataclass(frozen=True)
class ThroughHealth(Settings):
    """Of a registration whose moving image shows a diseased brain: what is abnormal in it is aligned as it
    would be in health."""

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "through_healthy": "moving"}
