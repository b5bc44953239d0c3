"""A volume: values on a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform, resample

KINDS = ("scalar", "labels")


class VolumeError(ValueError):
    """An image, transform file or landmark file that cannot be used as asked; found, expected, remedy."""


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
