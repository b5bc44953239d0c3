"""Decoded image files, and the checks that all formats share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

import numpy as np
import psutil
import torch

from SlicerSynthReg.errors import GeometryError, ImageError, Suggestion
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.grid import Grid

Frame = Union[int, str, None]
_SPACING_MM = (1e-3, 100.0)
"""Plausible voxel sizes, from microscopy to the thickest localiser; outside, the header's unit is wrong."""


@dataclass(frozen=True, eq=False)
class RawImage:
    """Decoded file: values (I, J, K, C) of any real type on `grid`. name, modality, warnings: as in Image."""

    values: np.ndarray
    grid: Grid
    name: str = ""
    modality: str = ""
    warnings: tuple[str, ...] = ()

    def as_image(self, kind: str, replace_nonfinite: float | None, allow_degenerate: bool) -> Image:
        """Return float32 scalars or int32 labels. Raises ImageError (single-slice, voxel-type, nonfinite,
        constant-image, label-values, label-range)."""
        if min(self.grid.shape) == 1 and not allow_degenerate:
            raise ImageError(
                f"Found a single slice ({' x '.join(map(str, self.grid.shape))} voxels), expected a 3-D image. "
                "Choose the whole series.",
                Suggestion("allow_degenerate", True, "read the slice as it is"),
                code="single-slice",
            )
        if self.values.dtype.kind not in "buif":
            raise ImageError(
                f"Found voxels of type {self.values.dtype}, expected real numbers. Convert colours to grey values, and "
                "complex numbers to their magnitude.",
                code="voxel-type",
            )
        channels_first = np.moveaxis(self.values, -1, 0)
        if kind == "labels":
            return self._image(_as_labels(channels_first), kind)
        with np.errstate(over="ignore"):
            data = torch.from_numpy(np.array(channels_first, dtype=np.float32, order="C"))
        return self._image(_check_scalars(data, replace_nonfinite, allow_degenerate), kind)

    def _image(self, data: torch.Tensor, kind: str) -> Image:
        return Image(data, self.grid, kind, self.name, self.modality, self.warnings)


def _check_scalars(data: torch.Tensor, replace_nonfinite: float | None, allow_degenerate: bool) -> torch.Tensor:
    data = finite_scalars(data, replace_nonfinite)
    low, high = float(data.min()), float(data.max())
    if low == high and not allow_degenerate:
        raise ImageError(
            f"Found a constant image (every voxel is {low:g}), expected some contrast. Check the export.",
            Suggestion("allow_degenerate", True, "read it as it is"),
            code="constant-image",
        )
    return data


def finite_scalars(data: torch.Tensor, replace_nonfinite: float | None) -> torch.Tensor:
    """Return `data`, or a copy with `replace_nonfinite` in place of NaN and infinity. Raises ImageError (nonfinite)."""
    broken = ~torch.isfinite(data)
    count = int(broken.sum())
    if count and replace_nonfinite is None:
        raise ImageError(
            f"Found {count} of {data.numel()} voxels that are NaN or infinite, expected finite intensities. "
            "Repair the image.",
            Suggestion("replace_nonfinite", 0.0, "replace them by 0 (or another background value)"),
            code="nonfinite",
        )
    return data.masked_fill(broken, float(replace_nonfinite or 0.0)) if count else data


def _as_labels(values: np.ndarray) -> torch.Tensor:
    if values.dtype.kind == "f":
        fractional = ~(np.isfinite(values) & (values == np.rint(values)))
        if fractional.any():
            raise ImageError(
                f"Found {int(fractional.sum())} voxels that are no whole numbers (such as {values[fractional][0]:g}), "
                "expected integer labels. Give intensities as an image, not as labels; if this is a label map, "
                "resample it by nearest neighbour.",
                code="label-values",
            )
    low, high = values.min(), values.max()
    limits = np.iinfo(np.int32)
    if low < limits.min or high > limits.max:
        raise ImageError(
            f"Found labels from {low} to {high}, expected 32-bit integers. Renumber the labels.", code="label-range"
        )
    return torch.from_numpy(np.array(values, dtype=np.int32, order="C"))


def select_frames(count: int, frame: Frame) -> slice:
    """Return which of `count` frames to read: the only one, `frame`, or all. Raises ImageError (frame-ambiguous,
    frame-range)."""
    if frame == "all" or (count == 1 and frame is None):
        return slice(0, count)
    if frame is None:
        raise ImageError(
            f"Found {count} frames or components, expected a 3-D image with one. Save the frame of interest as a file.",
            Suggestion("frame", 0, f"use the first (numbered 0 to {count - 1})"),
            code="frame-ambiguous",
        )
    if isinstance(frame, str) or not 0 <= frame < count:
        frames = f"a number from 0 to {count - 1}" if count > 1 else "0, as there is only one"
        raise ImageError(f"Found frame = {frame}, expected {frames}. Choose one that exists.", code="frame-range")
    return slice(frame, frame + 1)


def check_memory(shape: tuple[int, ...], bytes_per_voxel: int, max_bytes: int | None) -> None:
    """Raise ImageError (memory) if an image of `shape` does not fit: values, a float64 temporary and a float32 copy.

    max_bytes: memory allowed (default: what is available).
    """
    needed = float(np.prod(shape, dtype=np.float64)) * (bytes_per_voxel + 12)
    limit = psutil.virtual_memory().available if max_bytes is None else max_bytes
    if needed > limit:
        raise ImageError(
            f"Found an image of {' x '.join(str(n) for n in shape)} values that needs about {needed / 1e9:.1f} GB to "
            f"read, expected at most {limit / 1e9:.1f} GB. Crop or downsample it first, or free memory.",
            code="memory",
        )


def header_grid(shape: tuple[int, int, int], affine: np.ndarray) -> Grid:
    """Return the grid of a header; affine: 4x4, index -> RAS mm. Raises ImageError (header-affine, header-spacing)."""
    remedy = "Repair the header, or convert the image again from its original."
    if not np.isfinite(affine).all():
        raise ImageError(
            f"Found NaN or infinite numbers in the header's affine, expected finite ones. {remedy}",
            code="header-affine",
        )
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    low, high = _SPACING_MM
    if (spacing > 0).all() and (spacing.min() < low or spacing.max() > high):
        raise ImageError(
            f"Found voxels of {' x '.join(f'{s:.3g}' for s in spacing)} mm, expected {low:g} to {high:g} mm: the "
            f"header's spacing or its unit is wrong. {remedy}",
            code="header-spacing",
        )
    if not (spacing > 0).all() or abs(np.linalg.det(axes / spacing)) < 1e-6:
        raise ImageError(
            "Found a singular affine (two voxel axes run the same way, or one has no length), expected three "
            f"independent axes. {remedy}",
            code="header-affine",
        )
    try:
        return Grid(shape, affine)
    except GeometryError:
        counts = " x ".join(map(str, shape))
        raise ImageError(
            f"Found {counts} voxels, expected three positive counts. {remedy}", code="header-shape"
        ) from None


def assumed_grid(shape: tuple[int, int, int], spacing: np.ndarray) -> Grid:
    """Return the assumed grid of a file without geometry: axes R, A, S, centred on the origin."""
    affine = np.diag([*np.where(spacing > 0, spacing, 1.0), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return header_grid(shape, affine)


def missing_geometry(detail: str) -> ImageError:
    """Return the error (geometry-missing) for a header without position and orientation."""
    return ImageError(
        f"Found {detail}, expected a position and orientation in the header. Left and right cannot be told apart: "
        "convert again from the original DICOM.",
        Suggestion("assume_geometry", True, "take the axes as right, anterior, superior"),
        code="geometry-missing",
    )
