"""What a reader hands over, and the checks every format shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

import numpy as np
import psutil
import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.volume import Volume, VolumeError

Frame = Union[int, str, None]


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
                f"Found a single slice ({self.grid.shape} voxels), expected a 3-D volume. Choose the whole series, "
                "or pass allow_degenerate=True to read the slice as it is."
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
            "Repair the image, or pass replace_nonfinite=0.0 (or another background value)."
        )
    if count:
        data[broken] = float(replace_nonfinite or 0.0)
    low, high = float(data.min()), float(data.max())
    if low == high and not allow_degenerate:
        raise VolumeError(
            f"Found a constant image (every voxel is {low:g}), expected some contrast. Check the export, "
            "or pass allow_degenerate=True to read it as it is."
        )
    return data


def _as_labels(values: np.ndarray) -> torch.Tensor:
    if values.dtype.kind == "f":
        fractional = ~(np.isfinite(values) & (values == np.rint(values)))
        if fractional.any():
            raise VolumeError(
                f"Found {int(fractional.sum())} voxels that are no whole numbers (such as {values[fractional][0]:g}), "
                "expected integer labels. Read intensities and probabilities with kind='scalar', or resample the "
                "label map by nearest neighbour."
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
            f"Found {count} frames or components, expected a 3-D volume with one. Choose frame=0 to {count - 1}, "
            "or frame='all' to keep them as channels."
        )
    if isinstance(frame, str) or not 0 <= frame < count:
        raise VolumeError(f"Found frame={frame!r}, expected 'all' or a number from 0 to {count - 1}.")
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


def assumed_grid(shape: tuple[int, int, int], spacing: np.ndarray) -> Grid:
    """For files without geometry: axes i, j, k run right, anterior, superior; centred on the origin."""
    affine = np.diag([*np.where(spacing > 0, spacing, 1.0), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def missing_geometry(detail: str) -> VolumeError:
    return VolumeError(
        f"Found {detail}, expected a position and orientation in the header. Left and right cannot be told apart: "
        "convert from the original DICOM, or pass assume_geometry=True to take the axes as right, anterior, superior."
    )
