"""Slices in radiological display: orientation, spacing, cropping and intensity window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from scipy.ndimage import zoom

from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.grid import Grid

MARGIN_MM = 8.0


@dataclass(frozen=True)
class Plane:
    """Display of a plane. across: RAS axis along image columns. down: RAS axis along image rows. through: RAS axis
    normal to the slice. left, right, top, bottom: orientation letters at the borders.

    Both screen axes point against their RAS axis (radiological convention): right and anterior on the viewer's left,
    anterior and superior at the top.
    """

    name: str
    across: int
    down: int
    through: int
    left: str
    right: str
    top: str
    bottom: str


PLANES = (
    Plane("Axial", 0, 1, 2, "R", "L", "A", "P"),
    Plane("Sagittal", 1, 2, 0, "A", "P", "S", "I"),
    Plane("Coronal", 0, 2, 1, "R", "L", "S", "I"),
)


@dataclass(frozen=True)
class Framing:
    """Slices to show and their crop, in voxels of a display array. centre: (3,) slice numbers. low, high: (3,) bounds,
    low <= index < high."""

    centre: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


def display_array(volume: Image) -> np.ndarray:
    """Return the first channel with axes permuted and flipped to the nearest of R, A, S, not resampled."""
    return np.asarray(apply_orientation(volume.data[0].cpu().numpy(), io_orientation(volume.grid.affine)))


def subsample_image(volume: Image, voxels: int) -> Image:
    """Return every n-th voxel along each axis, n the smallest step that leaves about `voxels` voxels or fewer."""
    step = math.ceil((math.prod(volume.grid.shape) / voxels) ** (1 / 3))
    if step <= 1:
        return volume
    kept = volume.data[:, ::step, ::step, ::step]
    grid = Grid(tuple(kept.shape[1:]), volume.grid.affine @ np.diag([step, step, step, 1.0]))
    return replace(volume, data=kept, grid=grid)


def display_spacing(grid: Grid) -> np.ndarray:
    """Return the spacing (3,) in mm along the axes of `display_array`."""
    spacing = np.empty(3)
    spacing[io_orientation(grid.affine)[:, 0].astype(int)] = grid.spacing
    return spacing


def display_index(grid: Grid, point_mm: Sequence[float]) -> np.ndarray:
    """Return the position (3,) of a point (RAS mm) in voxels of `display_array`, not rounded."""
    index = grid.world_to_index(np.asarray([point_mm], dtype=np.float64))[0]
    position = np.empty(3)
    for axis, (target, direction) in enumerate(io_orientation(grid.affine)):
        position[int(target)] = index[axis] if direction > 0 else grid.shape[axis] - 1 - index[axis]
    return position


def max_tilt_degrees(grid: Grid) -> float:
    """Return the largest angle between a voxel axis and the anatomical axis that it is displayed as, degrees."""
    orientation = io_orientation(grid.affine)
    oriented = grid.affine @ inv_ornt_aff(orientation, grid.shape)
    cosines = np.diag(oriented[:3, :3]) / np.linalg.norm(oriented[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))


def otsu_threshold(values: np.ndarray) -> float:
    """Return Otsu's threshold (1979) of `values` (any shape) from a histogram of 256 bins; not for a constant."""
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.SetNumberOfHistogramBins(256)
    otsu.Execute(sitk.GetImageFromArray(np.asarray(values, dtype=np.float64).reshape(1, -1)))
    return float(otsu.GetThreshold())


def foreground(image: np.ndarray) -> np.ndarray:
    """Return the foreground mask by Otsu's threshold of the clipped values; all voxels of a constant image."""
    low, high = np.percentile(image, [0.5, 99.5])
    mask = image > otsu_threshold(np.clip(image, low, high)) if high > low else image > image.min()
    return mask if mask.any() else np.ones(image.shape, dtype=bool)


def intensity_window(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Return (black, white): 1st and 98th percentile of the central half of `mask`, which excludes skin and table.

    Black is lowered to the background's level, at most by the width of that range. Without contrast there, the range is
    from the background to the maximum.
    """
    index = np.argwhere(mask)
    near, far = np.percentile(index, [25, 75], axis=0).astype(int)
    box = tuple(slice(a, b + 1) for a, b in zip(near, far))
    inner = image[box][mask[box]]
    low, high = np.percentile(inner if inner.size else image[mask], [1, 98])
    background = float(np.median(image[~mask])) if not mask.all() else low
    if high > low:
        black = max(min(low, background), low - (high - low))
    else:
        black, high = min(low, background), image[mask].max()
    return float(black), float(high if high > black else black + 1)


def foreground_framing(mask: np.ndarray, spacing: np.ndarray) -> Framing:
    """Return slices through the median of `mask`, and its bounding box (without the outermost 0.5 %) with a margin."""
    centre, low, high = [], [], []
    for axis in range(3):
        profile = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        cumulative = np.cumsum(profile) / profile.sum()
        margin = round(MARGIN_MM / spacing[axis])
        centre.append(int(np.searchsorted(cumulative, 0.5)))
        low.append(max(0, int(np.searchsorted(cumulative, 0.0025)) - margin))
        high.append(min(mask.shape[axis], int(np.searchsorted(cumulative, 0.9975)) + margin + 1))
    return Framing(tuple(centre), tuple(low), tuple(high))


def extract_slice(array: np.ndarray, plane: Plane, frame: Framing) -> np.ndarray:
    """Return the slice of a display array, rows from top to bottom and columns from left to right of the screen."""
    part = [slice(low, high) for low, high in zip(frame.low, frame.high)]
    part[plane.through] = slice(frame.centre[plane.through], frame.centre[plane.through] + 1)
    slab = array[tuple(part)].transpose(plane.down, plane.across, plane.through)[..., 0]
    return slab[::-1, ::-1]


def resample_slice(view: np.ndarray, plane: Plane, spacing: np.ndarray, pixel_mm: float, order: int = 1) -> np.ndarray:
    """Return a slice with square pixels of `pixel_mm`; order 1: linear, 0: nearest neighbour."""
    target = [max(1, round(n * spacing[axis] / pixel_mm)) for n, axis in zip(view.shape, (plane.down, plane.across))]
    factors = [new / old for new, old in zip(target, view.shape)]
    return zoom(view, factors, order=order, mode="nearest", grid_mode=True)


def checkerboard(fixed: np.ndarray, moved: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (mosaic, from_moved): alternating tiles of `tile` pixels, the first of `fixed`; from_moved: bool mask.

    The tiling is centred: a tile border passes through the centre in both directions.
    """
    rows, columns = ((np.arange(n) - n // 2) // tile for n in fixed.shape)
    from_moved = (rows[:, None] + columns) % 2 != (rows[0] + columns[0]) % 2
    return np.where(from_moved, moved, fixed), from_moved


def require_one_grid(fixed: Image, others: Sequence[Image]) -> None:
    """Raise GeometryError unless all images are on the fixed grid, and ReportError for non-finite values."""
    for volume in (fixed, *others):
        fixed.grid.require_same(volume.grid, f"the volume {volume.name!r}")
        if not np.isfinite(volume.data.cpu().numpy()).all():
            raise ReportError(
                f"Found non-finite values in {volume.name!r}, expected finite intensities. "
                "Read the file with replace_nonfinite=0.",
                code="non-finite",
            )
