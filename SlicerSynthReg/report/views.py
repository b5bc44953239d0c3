"""Slices of a volume as a radiologist looks at them: which way round, how large, which part, how bright."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from scipy.ndimage import zoom

from SlicerSynthReg.report.record import ReportError
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.volume import Volume

MARGIN_MM = 8.0


@dataclass(frozen=True)
class Plane:
    """How a plane is shown. across: RAS axis that runs along columns; each letter names the side shown there.

    down: RAS axis along rows. through: RAS axis the slice is taken at. Both screen axes run against their RAS axis:
    the patient's right and front on the viewer's left, front and top at the top (radiological convention).
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
    """Slices to show and the part around the anatomy, in voxels of a display array.

    centre: (3,) slice numbers. low, high: (3,) bounds of the part shown, low <= index < high.
    """

    centre: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


def display_array(volume: Volume) -> np.ndarray:
    """First channel as (R, A, S): axes permuted and flipped, not resampled, to the patient's nearest."""
    return np.asarray(apply_orientation(volume.data[0].cpu().numpy(), io_orientation(volume.grid.affine)))


def thinned(volume: Volume, voxels: int) -> Volume:
    """Every n-th voxel along each axis, the least n that leaves about `voxels` at most; itself where that is one."""
    step = math.ceil((math.prod(volume.grid.shape) / voxels) ** (1 / 3))
    if step <= 1:
        return volume
    kept = volume.data[:, ::step, ::step, ::step]
    grid = Grid(tuple(kept.shape[1:]), volume.grid.affine @ np.diag([step, step, step, 1.0]))
    return replace(volume, data=kept, grid=grid)


def display_spacing(grid: Grid) -> np.ndarray:
    """(3,) mm along the axes of `display_array`."""
    spacing = np.empty(3)
    spacing[io_orientation(grid.affine)[:, 0].astype(int)] = grid.spacing
    return spacing


def display_index(grid: Grid, point_mm: Sequence[float]) -> np.ndarray:
    """(3,) where a point (RAS, mm) lies in `display_array`, in its voxels, not rounded."""
    index = grid.world_to_index(np.asarray([point_mm], dtype=np.float64))[0]
    place = np.empty(3)
    for axis, (target, direction) in enumerate(io_orientation(grid.affine)):
        place[int(target)] = index[axis] if direction > 0 else grid.shape[axis] - 1 - index[axis]
    return place


def tilt_degrees(grid: Grid) -> float:
    """Greatest angle between a voxel axis and the patient's axis it is shown as."""
    orientation = io_orientation(grid.affine)
    turned = grid.affine @ inv_ornt_aff(orientation, grid.shape)
    cosines = np.diag(turned[:3, :3]) / np.linalg.norm(turned[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))


def otsu(values: np.ndarray) -> float:
    """Threshold with the least variance within the classes below and above it (Otsu 1979); not for a constant."""
    counts, edges = np.histogram(values, bins=256)
    below = np.cumsum(counts)[:-1].astype(float)
    above = counts.sum() - below
    sums = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    difference = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * difference**2)])


def foreground(image: np.ndarray) -> np.ndarray:
    """Voxels that are not background, by Otsu's threshold of the clipped values; everything where all are alike."""
    low, high = np.percentile(image, [0.5, 99.5])
    mask = image > otsu(np.clip(image, low, high)) if high > low else image > image.min()
    return mask if mask.any() else np.ones(image.shape, dtype=bool)


def window(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """(black, white): 1st and 98th percentile of the inner half of `mask`, so that skin and table do not set them.

    Black is lowered to the background's level, by the width of that range at most. Where all are alike there, the range
    is from the background to the brightest.
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


def framing(mask: np.ndarray, spacing: np.ndarray) -> Framing:
    """Slices through the centre of mass of `mask`, and its box (outermost half per cent left out) with a margin."""
    centre, low, high = [], [], []
    for axis in range(3):
        profile = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        share = np.cumsum(profile) / profile.sum()
        margin = round(MARGIN_MM / spacing[axis])
        centre.append(int(np.searchsorted(share, 0.5)))
        low.append(max(0, int(np.searchsorted(share, 0.0025)) - margin))
        high.append(min(mask.shape[axis], int(np.searchsorted(share, 0.9975)) + margin + 1))
    return Framing(tuple(centre), tuple(low), tuple(high))


def cut(array: np.ndarray, plane: Plane, frame: Framing) -> np.ndarray:
    """The slice of a display array, as rows from top to bottom and columns from left to right of the screen."""
    part = [slice(low, high) for low, high in zip(frame.low, frame.high)]
    part[plane.through] = slice(frame.centre[plane.through], frame.centre[plane.through] + 1)
    slab = array[tuple(part)].transpose(plane.down, plane.across, plane.through)[..., 0]
    return slab[::-1, ::-1]


def to_pixels(view: np.ndarray, plane: Plane, spacing: np.ndarray, pixel_mm: float, order: int = 1) -> np.ndarray:
    """A cut at square pixels of `pixel_mm`; order 1 interpolates linearly, 0 takes the nearest voxel."""
    target = [max(1, round(n * spacing[axis] / pixel_mm)) for n, axis in zip(view.shape, (plane.down, plane.across))]
    factors = [new / old for new, old in zip(target, view.shape)]
    return zoom(view, factors, order=order, mode="nearest", grid_mode=True)


def checkerboard(fixed: np.ndarray, moved: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """(mosaic, from_moved): tiles of `tile` pixels, the first of `fixed`, then in turn; from_moved tells which.

    The tiling is centred, so that a border runs through the middle both ways.
    """
    rows, columns = ((np.arange(n) - n // 2) // tile for n in fixed.shape)
    from_moved = (rows[:, None] + columns) % 2 != (rows[0] + columns[0]) % 2
    return np.where(from_moved, moved, fixed), from_moved


def require_one_grid(fixed: Volume, others: Sequence[Volume]) -> None:
    """GeometryError unless every volume is on the fixed grid; ReportError for values that are no numbers."""
    for volume in (fixed, *others):
        fixed.grid.require_same(volume.grid, f"the volume {volume.name!r}")
        if not np.isfinite(volume.data.cpu().numpy()).all():
            raise ReportError(
                f"Found values that are no numbers in {volume.name!r}, expected finite intensities. "
                "Read the file with replace_nonfinite=0."
            )
