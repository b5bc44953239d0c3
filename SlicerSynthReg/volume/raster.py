"""What a reader hands over, and the checks every format shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

import numpy as np
import psutil
import torch

from SlicerSynthReg.space.grid import GeometryError, Grid
from SlicerSynthReg.volume.volume import Volume, VolumeError, WayOut

Frame = Union[int, str, None]
_SPACING_MM = (1e-3, 100.0)
"""Beyond these a header's unit is wrong: from a micrometre (microscopy) to the thickest localiser."""


@dataclass(frozen=True, eq=False)
class Raster:
    """Decoded file: values (I, J, K, C) of any real type, and where they lie."""

    values: np.ndarray
    grid: Grid
    name: str = ""

    def as_volume(self, kind: str, replace_nonfinite: float | None, allow_degenerate: bool) -> Volume:
        """float32 scalars or int32 labels, refused when they hold what no method can use."""
        if min(self.grid.shape) == 1 and not allow_degenerate:
            raise VolumeError(
                f"Found a single slice ({' x '.join(map(str, self.grid.shape))} voxels), expected a 3-D volume. "
                "Choose the whole series.",
                WayOut("allow_degenerate", True, "read the slice as it is"),
            )
        channels_first = np.moveaxis(self.values, -1, 0)
        if kind == "labels":
            return Volume(_as_labels(channels_first), self.grid, kind, self.name)
        with np.errstate(over="ignore"):
            data = torch.from_numpy(np.array(channels_first, dtype=np.float32, order="C"))
        return Volume(_checked_scalars(data, replace_nonfinite, allow_degenerate), self.grid, kind, self.name)


def _checked_scalars(data: torch.Tensor, replace_nonfinite: float | None, allow_degenerate: bool) -> torch.Tensor:
    broken = ~torch.isfinite(data)
    count = int(broken.sum())
    if count and replace_nonfinite is None:
        raise VolumeError(
            f"Found {count} of {data.numel()} voxels that are NaN or infinite, expected finite intensities. "
            "Repair the image.",
            WayOut("replace_nonfinite", 0.0, "put 0 (or another background value) in their place"),
        )
    if count:
        data[broken] = float(replace_nonfinite or 0.0)
    low, high = float(data.min()), float(data.max())
    if low == high and not allow_degenerate:
        raise VolumeError(
            f"Found a constant image (every voxel is {low:g}), expected some contrast. Check the export.",
            WayOut("allow_degenerate", True, "read it as it is"),
        )
    return data


def _as_labels(values: np.ndarray) -> torch.Tensor:
    if values.dtype.kind == "f":
        fractional = ~(np.isfinite(values) & (values == np.rint(values)))
        if fractional.any():
            raise VolumeError(
                f"Found {int(fractional.sum())} voxels that are no whole numbers (such as {values[fractional][0]:g}), "
                "expected integer labels. Give intensities as an image, not as labels; if this is a label map, "
                "resample it by nearest neighbour."
            )
    low, high = values.min(), values.max()
    limits = np.iinfo(np.int32)
    if low < limits.min or high > limits.max:
        raise VolumeError(f"Found labels from {low} to {high}, expected 32-bit integers. Renumber the labels.")
    return torch.from_numpy(np.array(values, dtype=np.int32, order="C"))


def frames_wanted(count: int, frame: Frame) -> slice:
    """Which of `count` frames to read: the only one, the one asked for, or all."""
    if frame == "all" or (count == 1 and frame is None):
        return slice(0, count)
    if frame is None:
        raise VolumeError(
            f"Found {count} frames or components, expected a 3-D volume with one. Save the one that counts as a file.",
            WayOut("frame", 0, f"use the first (numbered 0 to {count - 1})"),
        )
    if isinstance(frame, str) or not 0 <= frame < count:
        frames = f"a number from 0 to {count - 1}" if count > 1 else "0, as there is only one"
        raise VolumeError(f"Found that frame {frame} was asked for, expected {frames}. Choose one that exists.")
    return slice(frame, frame + 1)


def require_memory(shape: tuple[int, ...], bytes_per_voxel: int, max_bytes: int | None) -> None:
    """Refuse before reading what would not fit: the file's own values, a float64 temporary and a float32 copy."""
    needed = float(np.prod(shape, dtype=np.float64)) * (bytes_per_voxel + 12)
    limit = psutil.virtual_memory().available if max_bytes is None else max_bytes
    if needed > limit:
        raise VolumeError(
            f"Found an image of {' x '.join(str(n) for n in shape)} values that needs about {needed / 1e9:.1f} GB to "
            f"read, expected at most {limit / 1e9:.1f} GB. Crop or downsample it first, or free memory."
        )


def placed_grid(shape: tuple[int, int, int], affine: np.ndarray) -> Grid:
    """The grid a header tells of (index -> RAS mm). VolumeError when it cannot be one of an image."""
    remedy = "Repair the header, or convert the image again from its original."
    if not np.isfinite(affine).all():
        raise VolumeError(f"Found NaN or infinite numbers in the header's affine, expected finite ones. {remedy}")
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    low, high = _SPACING_MM
    if (spacing > 0).all() and (spacing.min() < low or spacing.max() > high):
        raise VolumeError(
            f"Found voxels of {' x '.join(f'{s:.3g}' for s in spacing)} mm, expected {low:g} to {high:g} mm: the "
            f"header's spacing or its unit is wrong. {remedy}"
        )
    if not (spacing > 0).all() or abs(np.linalg.det(axes / spacing)) < 1e-6:
        raise VolumeError(
            "Found a singular affine (two voxel axes run the same way, or one has no length), expected three "
            f"independent axes. {remedy}"
        )
    try:
        return Grid(shape, affine)
    except GeometryError:
        counts = " x ".join(map(str, shape))
        raise VolumeError(f"Found {counts} voxels, expected three positive counts. {remedy}") from None


def assumed_grid(shape: tuple[int, int, int], spacing: np.ndarray) -> Grid:
    """For files without geometry: axes i, j, k run right, anterior, superior; centred on the origin."""
    affine = np.diag([*np.where(spacing > 0, spacing, 1.0), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return placed_grid(shape, affine)


def missing_geometry(detail: str) -> VolumeError:
    return VolumeError(
        f"Found {detail}, expected a position and orientation in the header. Left and right cannot be told apart: "
        "convert again from the original DICOM.",
        WayOut("assume_geometry", True, "take the axes as right, anterior, superior"),
    )
