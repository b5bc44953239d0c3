"""The aorta in a CT without any network: a round, even tube before and left of the spine, bright or not.

The spine is found by its bone, the tube by dynamic programming over discs whose inside is even and whose rim is not.
Where no such tube stands out, the answer is that it was not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d, maximum_filter, uniform_filter1d
from torch.nn import functional as F

from SlicerSynthReg.space.grid import Grid, as_shape
from SlicerSynthReg.volume.volume import Volume

STEP_MM = (2.0, 2.0, 4.0)
RADII_MM = (7.0, 9.0, 11.0, 13.0)
RIGHT_MM, BEFORE_MM = (-38.0, 22.0), (12.0, 56.0)
"""Where its middle is sought, from the middle of the vertebral bodies."""
USUAL_RIGHT_MM = -8.0
SPAN_MM = 80.0
SECTORS = 12
USUAL_MM = 66.0
"""From the tips of the spinous processes to the middle of the vertebral bodies."""
CLEAR = 0.55
"""Least mean score of the discs along the path; phantoms and real scans without an aorta stay below."""


@dataclass(frozen=True, eq=False)
class AortaFound:
    """hu: median within; spread: SD of the discs' medians along it; radius_mm: mean; line_mm: (N, 3) its middle, RAS;
    score: how round and even it is, 0 to 1, clear from CLEAR on."""

    hu: float
    spread: float
    radius_mm: float
    line_mm: np.ndarray
    score: float

    @property
    def clear(self) -> bool:
        return self.score >= CLEAR and self.spread < max(14.0, 0.15 * abs(self.hu))


def find_aorta(volume: Volume) -> AortaFound | None:
    """The tube before the spine that is most like an aorta; None where there is no spine or less than 30 mm of it."""
    seen = coarse(volume)
    hu = seen.data[0].numpy()
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
    return AortaFound(
        float(np.median(discs)),
        float(np.std(discs)),
        float(radii.mean()),
        seen.grid.index_to_world(index),
        float(totals[first]),
    )


def coarse(volume: Volume) -> Volume:
    """RAS-aligned at STEP_MM; finer voxels are averaged."""
    kernel = np.maximum(np.floor(np.array(STEP_MM)[_nearest_axes(volume.grid)] / volume.grid.spacing), 1).astype(int)
    data = volume.data[:1].float()
    pooled = F.avg_pool3d(data[None], tuple(int(k) for k in kernel))[0] if kernel.max() > 1 else data
    affine = volume.grid.affine.copy()
    affine[:3, 3] = volume.grid.index_to_world((kernel[None] - 1) / 2)[0]
    affine[:3, :3] *= kernel
    smaller = Volume(pooled, Grid(as_shape(pooled.shape[1:]), affine))
    enclosing = smaller.grid.aligned_to_ras(STEP_MM[0])
    wanted = enclosing.resampled(STEP_MM)
    shown = smaller.resampled(wanted).data
    outside = Volume(torch.ones_like(pooled), smaller.grid).resampled(wanted).data < 0.5
    return Volume(torch.where(outside, -1000.0, shown), wanted)


def _nearest_axes(grid: Grid) -> np.ndarray:
    """For each array axis the world axis it runs along most."""
    return np.abs(grid.directions).argmax(axis=0)


def _spine(hu: np.ndarray) -> np.ndarray | None:
    """(K, 2) index of the vertebral bodies' middle in each slice; None where bone behind the middle is missing."""
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
        off = (np.arange(part.shape[1]) + window.start - tip) * STEP_MM[1] - USUAL_MM
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
    """(1, 1, n, n) averaging kernel."""
    reach = round(radius_mm / STEP_MM[0])
    offsets = torch.arange(-reach, reach + 1) * STEP_MM[0]
    inside = (offsets[:, None] ** 2 + offsets[None] ** 2 <= radius_mm**2).float()
    return (inside / inside.sum())[None, None]


def _discs(hu: np.ndarray, spine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and means (K, R, X, Y) of discs of each radius about each place of the search window, and the window's
    corner (K, 2) in indices."""
    margin = round(2 * RADII_MM[-1] / STEP_MM[0])
    lengths = [round((b - a) / s) + 1 for (a, b), s in zip((RIGHT_MM, BEFORE_MM), STEP_MM)]
    corner = np.round(spine + [RIGHT_MM[0] / STEP_MM[0], BEFORE_MM[0] / STEP_MM[1]]).astype(int)
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
    right = RIGHT_MM[0] + np.arange(lengths[0]) * STEP_MM[0] - USUAL_RIGHT_MM
    doubt = torch.from_numpy(0.15 * (right / 20.0) ** 2).float()[None, :, None]  # the vena cava lies on the right
    scores, means = [], []
    for radius in RADII_MM:
        kernel = _disc(0.75 * radius)
        pad = kernel.shape[-1] // 2
        mean = F.conv2d(image, kernel, padding=pad)[:, 0]
        square = F.conv2d(image * image, kernel, padding=pad)[:, 0]
        uneven = (square - mean * mean).clamp_min(0).sqrt()
        edges = torch.zeros_like(mean)
        darker = torch.zeros_like(mean)
        for angle in np.arange(SECTORS) * 2 * np.pi / SECTORS:
            out = [round(1.45 * radius * f / STEP_MM[0]) for f in (np.cos(angle), np.sin(angle))]
            rim = torch.roll(image[:, 0], shifts=(-out[0], -out[1]), dims=(1, 2))
            step = (rim - mean).abs()
            edges += (step / 45.0).clamp(max=1.0) / SECTORS
            darker += ((mean - rim) / 45.0).clamp(0.0, 1.0) / SECTORS
        score = 0.5 * edges + 0.5 * darker - uneven / (60.0 + 0.25 * mean.clamp_min(0))
        score = torch.where((mean > 10) & (mean < 650), score, torch.full_like(score, -1.0))
        scores.append((score[inner] - doubt).numpy())
        means.append(mean[inner].numpy())
    return np.stack(scores, axis=1), np.stack(means, axis=1), corner


def _path(scores: np.ndarray) -> np.ndarray:
    """(K, 3) place (radius, x, y) in each slice of the path with the largest sum, which moves by at most two voxels
    and one radius from slice to slice."""
    total = scores[0].astype(np.float64)
    sums = [total]
    for one in scores[1:]:
        total = one + maximum_filter(total, size=(3, 5, 5), mode="nearest")
        sums.append(total)
    place = np.array(np.unravel_index(int(total.argmax()), total.shape))
    path = [place]
    for total in reversed(sums[:-1]):
        low = np.maximum(place - [1, 2, 2], 0)
        near = total[tuple(slice(a, b + s + 1) for a, b, s in zip(low, place, (1, 2, 2)))]
        place = low + np.array(np.unravel_index(int(near.argmax()), near.shape))
        path.append(place)
    return np.array(path[::-1])
