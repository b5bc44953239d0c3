"""An image: values on a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Transform, resample

KINDS = ("scalar", "labels")


@dataclass(frozen=True, eq=False)
class Image:
    """Values (C, I, J, K) at the voxels of `grid`.

    kind: "scalar" for floating-point intensities, "labels" for integers, one class each. Further channels are frames or
    contrasts on the same grid. name: for messages and reports. modality: "ct" (Hounsfield units) or "mr" if the file or
    the user states it, "" if unknown. warnings: choices made while reading, for the report.
    Raises ImageError (image-kind, image-dimensions, grid-mismatch, image-type).
    """

    data: torch.Tensor
    grid: Grid
    kind: str = "scalar"
    name: str = ""
    modality: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ImageError(f"Found kind {self.kind!r}, expected one of {KINDS}.", code="image-kind")
        shape = tuple(self.data.shape)
        if len(shape) != 4 or shape[0] < 1:
            raise ImageError(
                f"Found data of shape {shape}, expected (C, I, J, K) with at least one channel. "
                "Add the channel axis with data[None].",
                code="image-dimensions",
            )
        if shape[1:] != self.grid.shape:
            raise ImageError(
                f"Found data of {shape[1:]} voxels on a grid of {self.grid.shape}, expected the same counts in array "
                "order (I, J, K). Transpose (K, J, I) arrays first.",
                code="grid-mismatch",
            )
        if self.kind == "scalar" and not self.data.is_floating_point():
            raise ImageError(
                f"Found {self.data.dtype} in a scalar image, expected a floating-point type. "
                "Convert with data.float(), or pass kind='labels'.",
                code="image-type",
            )
        if self.kind == "labels" and (self.data.is_floating_point() or self.data.is_complex()):
            raise ImageError(
                f"Found {self.data.dtype} in a label image, expected an integer type. "
                "Convert with data.int(), or pass kind='scalar'.",
                code="image-type",
            )

    def resampled(self, grid: Grid, transform: Transform | None = None) -> Image:
        """Return this image resampled to `grid`; 0 outside the field of view.

        transform: RAS mm of `grid` -> RAS mm of this image; None for the identity. Scalars are interpolated linearly,
        in float32 if of half precision; labels by nearest neighbour.
        """
        data = self.data.float() if self.data.dtype in (torch.float16, torch.bfloat16) else self.data
        mode = "linear" if self.kind == "scalar" else "nearest"
        moved = resample(data, self.grid, grid, transform, mode=mode)
        return replace(self, data=moved.to(self.data.dtype), grid=grid)


def mask_voxels(grid: Grid, mask: Image | None) -> torch.Tensor:
    """Return (I, J, K) bool, on the CPU: the voxels of `mask` above zero, or all voxels of `grid` without a mask.

    Raises GeometryError (grid-mismatch); ImageError (mask-empty).
    """
    if mask is None:
        return torch.ones(grid.shape, dtype=torch.bool)
    grid.require_same(mask.grid, "the mask")
    inside = (mask.data > 0).any(dim=0).cpu()
    if not inside.any():
        raise ImageError(
            "Found a mask without any voxel above zero, expected the region to evaluate. Draw it first.",
            code="mask-empty",
        )
    return inside
