"""Detection of the aorta in CT without a network: a round, homogeneous tube anterior and left of the spine.

The spine is found by its bone, the tube by dynamic programming over discs that are homogeneous within and differ from
their rim. Native and contrast-enhanced CT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d, maximum_filter, uniform_filter1d
from torch.nn import functional as F

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.grid import Grid, as_shape

STEP_MM = (2.0, 2.0, 4.0)
RADII_MM = (7.0, 9.0, 11.0, 13.0)
RIGHT_MM, ANTERIOR_MM = (-38.0, 22.0), (12.0, 56.0)
"""Search window of its centre, relative to the centre of the vertebral bodies."""
EXPECTED_RIGHT_MM = -8.0
SPAN_MM = 80.0
SECTORS = 12
PROCESS_TO_BODY_MM = 66.0
"""Distance of the tips of the spinous processes from the centre of the vertebral bodies."""
MIN_SCORE = 0.55
"""Minimum mean score of the discs along the path; phantoms and real scans without an aorta stay below."""


@dataclass(frozen=True, eq=False)
class AortaDetection:
    """hu: median HU. hu_sd: SD of the discs' means along it. radius_mm: mean radius. centerline_mm: (N, 3) RAS. score:
    roundness and homogeneity, 0 to 1."""

    hu: float
    hu_sd: float
    radius_mm: float
    centerline_mm: np.ndarray
    score: float

    @property
    def reliable(self) -> bool:
        """Whether score and homogeneity along the vessel suffice."""
        return self.score >= MIN_SCORE and self.hu_sd < max(14.0, 0.15 * abs(self.hu))


def detect_aorta(image: Image) -> AortaDetection | None:
    """Return the tube anterior to the spine most like an aorta; None without a spine or with less than 30 mm of it."""
    resampled = resample_coarse(image)
    hu = resampled.data[0].numpy()
    if hu.shape[2] * STEP_MM[2] < 30.0:
        return None
    spine = _spine(hu)
    if spine is None:
        return None
    scores, means, corner = _discs(hu, spine)
    path = _path(scores)
    along = scores[(np.arange(len(path)), *path.T)]
    count = min(len(path), round(SPAN_MM / STEP_MM[2]))
    totals = np.convolve(along, np.ones(count), mode="valid") / count
    first = int(np.argmax(totals))
    kept = np.arange(first, first + count)
    chosen = path[kept]
    discs = means[(kept, *chosen.T)]
    index = np.column_stack([corner[kept] + chosen[:, 1:], kept])
    radii = np.array(RADII_MM)[chosen[:, 0]]
    return AortaDetection(
        float(np.median(discs)),
        float(np.std(discs)),
        float(radii.mean()),
        resampled.grid.index_to_world(index),
        float(totals[first]),
    )


def resample_coarse(image: Image) -> Image:
    """Return `image` on a RAS-aligned grid of STEP_MM, finer voxels averaged; -1000 outside its field of view."""
    kernel = np.maximum(np.floor(np.array(STEP_MM)[_nearest_axes(image.grid)] / image.grid.spacing), 1).astype(int)
    data = image.data[:1].float()
    pooled = F.avg_pool3d(data[None], tuple(int(k) for k in kernel))[0] if kernel.max() > 1 else data
    affine = image.grid.affine.copy()
    affine[:3, 3] = image.grid.index_to_world((kernel[None] - 1) / 2)[0]
    affine[:3, :3] *= kernel
    smaller = Image(pooled, Grid(as_shape(pooled.shape[1:]), affine))
    enclosing = smaller.grid.aligned_to_ras(STEP_MM[0])
    wanted = enclosing.resampled(STEP_MM)
    shown = smaller.resampled(wanted).data
    outside = Image(torch.ones_like(pooled), smaller.grid).resampled(wanted).data < 0.5
    return Image(torch.where(outside, -1000.0, shown), wanted)


def _nearest_axes(grid: Grid) -> np.ndarray:
    """Return the closest world axis of each array axis."""
    return np.abs(grid.directions).argmax(axis=0)


def _spine(hu: np.ndarray) -> np.ndarray | None:
    """Return the (K, 2) indices of the vertebral bodies' centre in each slice; None without posterior bone."""
    body = hu > -300
    if body.mean() < 0.02:
        return None
    mean = uniform_filter1d(np.clip(hu, -200, 400), max(3, round(36 / STEP_MM[2])), axis=2, mode="nearest")
    bone = mean > 100
    middle_x = np.average(np.arange(hu.shape[0]), weights=body.sum((1, 2)))
    half = round(30 / STEP_MM[0])
    low = max(0, round(middle_x) - half)
    strip = bone[low : low + 2 * half + 1]
    found = np.full((hu.shape[2], 2), np.nan)
    for k in range(hu.shape[2]):
        weight = strip[:, :, k].sum(0)  # by y
        behind = np.flatnonzero(weight >= 2)
        if not len(behind):
            continue
        tip = behind[0]
        process = strip[:, tip : tip + round(24 / STEP_MM[1]), k]
        middle = low + float(np.average(np.arange(len(strip)), weights=process.sum(1)))
        left = max(0, round(middle - 10 / STEP_MM[0]))
        window = slice(tip + round(46 / STEP_MM[1]), tip + round(86 / STEP_MM[1]))
        part = np.clip(mean[left : left + round(20 / STEP_MM[0]) + 1, window, k], 0, 160)
        if min(part.shape) < 5 or part.max() < 100:
            continue
        off = (np.arange(part.shape[1]) + window.start - tip) * STEP_MM[1] - PROCESS_TO_BODY_MM
        likely = _disc_mean(part, 16.0) - 0.12 * off**2
        i, j = np.unravel_index(int(likely.argmax()), part.shape)
        found[k] = left + i, window.start + j
    known = np.isfinite(found[:, 0])
    if known.sum() < 0.4 * len(found):
        return None
    z = np.arange(len(found))
    filled = np.column_stack([np.interp(z, z[known], found[known, axis]) for axis in range(2)])
    return gaussian_filter1d(filled, 16 / STEP_MM[2], axis=0, mode="nearest")


def _disc_mean(image: np.ndarray, radius_mm: float) -> np.ndarray:
    tensor = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    kernel = _disc(radius_mm)
    pad = kernel.shape[-1] // 2
    return np.asarray(F.conv2d(F.pad(tensor, [pad] * 4, mode="replicate"), kernel)[0, 0].numpy())


def _disc(radius_mm: float) -> torch.Tensor:
    """Return a (1, 1, n, n) averaging kernel."""
    reach = round(radius_mm / STEP_MM[0])
    offsets = torch.arange(-reach, reach + 1) * STEP_MM[0]
    inside = (offsets[:, None] ** 2 + offsets[None] ** 2 <= radius_mm**2).float()
    return (inside / inside.sum())[None, None]


def _discs(hu: np.ndarray, spine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores and means (K, R, X, Y) of discs of each radius at each position of the search window, and the
    window's corner (K, 2) in indices."""
    margin = round(2 * RADII_MM[-1] / STEP_MM[0])
    lengths = [round((b - a) / s) + 1 for (a, b), s in zip((RIGHT_MM, ANTERIOR_MM), STEP_MM)]
    corner = np.round(spine + [RIGHT_MM[0] / STEP_MM[0], ANTERIOR_MM[0] / STEP_MM[1]]).astype(int)
    padded = np.pad(hu, ((120, 120), (120, 120), (0, 0)), constant_values=-1000.0)
    crops = np.stack(
        [
            padded[
                x + 120 - margin : x + 120 + lengths[0] + margin, y + 120 - margin : y + 120 + lengths[1] + margin, k
            ]
            for k, (x, y) in enumerate(corner)
        ]
    )
    image = torch.from_numpy(np.clip(crops, -200, 700).astype(np.float32))[:, None]
    inner = (slice(None), slice(margin, margin + lengths[0]), slice(margin, margin + lengths[1]))
    right = RIGHT_MM[0] + np.arange(lengths[0]) * STEP_MM[0] - EXPECTED_RIGHT_MM
    penalty = torch.from_numpy(0.15 * (right / 20.0) ** 2).float()[None, :, None]  # the vena cava is on the right
    scores, means = [], []
    for radius in RADII_MM:
        kernel = _disc(0.75 * radius)
        pad = kernel.shape[-1] // 2
        mean = F.conv2d(image, kernel, padding=pad)[:, 0]
        square = F.conv2d(image * image, kernel, padding=pad)[:, 0]
        sd = (square - mean * mean).clamp_min(0).sqrt()
        edges = torch.zeros_like(mean)
        darker = torch.zeros_like(mean)
        for angle in np.arange(SECTORS) * 2 * np.pi / SECTORS:
            out = [round(1.45 * radius * f / STEP_MM[0]) for f in (np.cos(angle), np.sin(angle))]
            rim = torch.roll(image[:, 0], shifts=(-out[0], -out[1]), dims=(1, 2))
            step = (rim - mean).abs()
            edges += (step / 45.0).clamp(max=1.0) / SECTORS
            darker += ((mean - rim) / 45.0).clamp(0.0, 1.0) / SECTORS
        score = 0.5 * edges + 0.5 * darker - sd / (60.0 + 0.25 * mean.clamp_min(0))
        score = torch.where((mean > 10) & (mean < 650), score, torch.full_like(score, -1.0))
        scores.append((score[inner] - penalty).numpy())
        means.append(mean[inner].numpy())
    return np.stack(scores, axis=1), np.stack(means, axis=1), corner


def _path(scores: np.ndarray) -> np.ndarray:
    """Return (radius, x, y) in each slice, (K, 3), of the path with the largest sum of scores (dynamic programming); it
    moves by at most two voxels and one radius between slices."""
    total = scores[0].astype(np.float64)
    sums = [total]
    for score in scores[1:]:
        total = score + maximum_filter(total, size=(3, 5, 5), mode="nearest")
        sums.append(total)
    position = np.array(np.unravel_index(int(total.argmax()), total.shape))
    path = [position]
    for total in reversed(sums[:-1]):
        low = np.maximum(position - [1, 2, 2], 0)
        near = total[tuple(slice(a, b + s + 1) for a, b, s in zip(low, position, (1, 2, 2)))]
        position = low + np.array(np.unravel_index(int(near.argmax()), near.shape))
        path.append(position)
    return np.array(path[::-1])
