"""A volume: values on a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform, resample

KINDS = ("scalar", "labels")


@dataclass(frozen=True)
class WayOut:
    """A keyword of the reading function that lets the file pass. effect: what it does, to follow "to"."""

    keyword: str
    value: Any
    effect: str


class VolumeError(ValueError):
    """An image, transform file or landmark file that cannot be used as asked; found, expected, remedy.

    path: the file or folder, whose base name leads the message (a folder's own name is never told: exports are often
    named after the patient). way_out: what the caller could allow; callers with other words for it use `text`.
    """

    def __init__(self, text: str, way_out: WayOut | None = None, path: Path | None = None) -> None:
        super().__init__(text)
        self.text, self.way_out, self.path = text, way_out, path

    def __str__(self) -> str:
        name = "" if self.path is None else "DICOM folder: " if self.path.is_dir() else f"{self.path.name}: "
        out = self.way_out
        return f"{name}{self.text}" + (f" Or pass {out.keyword}={out.value!r} to {out.effect}." if out else "")


@dataclass(frozen=True, eq=False)
class Volume:
    """Values (C, I, J, K) at the voxels of `grid`.

    kind "scalar": floating-point intensities; "labels": integers, one class each. Channels beyond one are frames or
    contrasts that share the grid.
    """

    data: torch.Tensor
    grid: Grid
    kind: str = "scalar"
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise VolumeError(f"Found kind {self.kind!r}, expected one of {KINDS}.")
        shape = tuple(self.data.shape)
        if len(shape) != 4 or shape[0] < 1:
            raise VolumeError(
                f"Found data of shape {shape}, expected (C, I, J, K) with at least one channel. "
                "Add the channel axis with data[None]."
            )
        if shape[1:] != self.grid.shape:
            raise VolumeError(
                f"Found data of {shape[1:]} voxels on a grid of {self.grid.shape}, expected the same counts in array "
                "order (I, J, K). Transpose (K, J, I) arrays first."
            )
        if self.kind == "scalar" and not self.data.is_floating_point():
            raise VolumeError(
                f"Found {self.data.dtype} in a scalar volume, expected a floating-point type. "
                "Convert with data.float(), or say kind='labels'."
            )
        if self.kind == "labels" and (self.data.is_floating_point() or self.data.is_complex()):
            raise VolumeError(
                f"Found {self.data.dtype} in a label volume, expected an integer type. "
                "Convert with data.int(), or say kind='scalar'."
            )

    def resampled(self, grid: Grid, transform: Transform | None = None) -> Volume:
        """Seen on `grid` through `transform` (world of `grid` -> world of this volume, RAS mm; None = identity).

        Linear for scalars, nearest for labels, zero outside. Half-precision scalars are interpolated in float32.
        """
        data = self.data.float() if self.data.dtype in (torch.float16, torch.bfloat16) else self.data
        mode = "linear" if self.kind == "scalar" else "nearest"
        moved = resample(data, self.grid, grid, transform, mode=mode)
        return replace(self, data=moved.to(self.data.dtype), grid=grid)
