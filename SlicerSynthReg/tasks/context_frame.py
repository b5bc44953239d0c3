"""The common grid on which examples and target are compared: upright, about the first example, others brought to it.

The first example stays, so that one registration a target is enough, however many examples there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from torch.nn import functional as F

from SlicerSynthReg.methods.neuralizer.examples import Example
from SlicerSynthReg.request import RequestError
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.space.voting import resample_labels
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.tasks.context_inputs import Pair
from SlicerSynthReg.tasks.loaded import registration_network
from SlicerSynthReg.tasks.model import chosen_card
from SlicerSynthReg.tasks.prepare import local_contrast
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.volume import Volume, VolumeError

FINEST_MM, COARSEST_MM = 0.9, 2.1
"""Pixel sizes that the network was trained at."""
MARGIN_MM = 40.0
"""Kept about everything that is to be found."""
REGISTERED_AT_MM = 2.0


@dataclass(frozen=True, eq=False)
class Frame:
    """grid: upright, isotropic. anchor: the first example's image, to which all are brought. examples: on the grid.
    labels: values of the classes, () where the answer is an image. scale: intensities of that image at 0 and at 1.
    likeness: how much the examples look like the first, on average, None for a single one."""

    grid: Grid
    anchor: Volume
    examples: tuple[Example, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    scale: tuple[float, float]
    likeness: float | None
    notes: tuple[str, ...]


def build_frame(
    pairs: Sequence[Pair],
    labels: tuple[int, ...],
    spacing: float | None,
    alignment: str,
    device: str,
) -> Frame:
    """All examples on the first one's frame. labels: () for images."""
    first = pairs[0].inputs[0]
    pixel = spacing or float(np.clip(np.sort(first.grid.spacing)[1], FINEST_MM, COARSEST_MM))
    grid = first.grid.aligned_to_ras(pixel)
    if labels:
        grid = _about(pairs[0].output, labels, grid)
        _require_memory(grid, len(labels), len(pairs))
    examples, notes = [], []
    for n, pair in enumerate(pairs):
        through, told = (None, ()) if n == 0 else bring(first, pair.inputs[0], alignment, device)
        notes += [f"{pair.name}: {text}" for text in told]
        examples.append(Example(on_frame(pair.inputs, grid, through), _output(pair.output, grid, through, labels)))
    alike = [likeness(e.x[0], examples[0].x[0]) for e in examples[1:]]
    return Frame(
        grid,
        first,
        tuple(examples),
        tuple(pair.name for pair in pairs),
        labels,
        (0.0, 1.0) if labels else _scale([pair.output for pair in pairs]),
        float(np.mean(alike)) if alike else None,
        tuple(notes),
    )


def _require_memory(grid: Grid, labels: int, examples: int) -> None:
    """RequestError where masks of all labels and examples would not fit into the memory that is free."""
    needed = 4 * grid.voxel_count * labels * (examples + 2)
    free = psutil.virtual_memory().available
    if needed > 0.7 * free:
        raise RequestError(
            f"Found {labels} labels in {examples} examples, which need {needed / 1e9:.0f} GB of memory, expected no "
            f"more than the {free / 1e9:.0f} GB that are free. Name fewer labels, or choose a larger spacing_mm."
        )


def bring(fixed: Volume, moving: Volume, alignment: str, device: str) -> tuple[Transform | None, tuple[str, ...]]:
    """Transform fixed RAS -> moving RAS, None for the identity, and what the user should know of it.

    "affine": registered; where that leaves the two less alike than their centres do, the centres count.
    """
    if alignment == "header":
        return None, ()
    shift = np.eye(4)
    shift[:3, 3] = moving.grid.center_mm - fixed.grid.center_mm
    centred = Affine(shift)
    if alignment == "centre":
        return centred, ()
    card = chosen_card(None)
    config = AlignmentConfig(affine_only=True, device=device)
    try:
        found = align(registration_network(card), card.spacing_mm if card else REGISTERED_AT_MM, fixed, moving, config)
    except VolumeError:
        return centred, ("too small to be registered, so its centre was laid on the first example's.",)
    grid = fixed.grid.aligned_to_ras(max(REGISTERED_AT_MM, float(fixed.grid.spacing.min())))
    seen = unit_intensities(fixed.resampled(grid).data[0])
    registered, by_centre = (
        abs(likeness(unit_intensities(moving.resampled(grid, t).data[0]), seen)) for t in (found.transform, centred)
    )
    if by_centre > registered + 0.02:
        return centred, ("registration made it less alike, so its centre was laid on the first example's.",)
    return found.transform, ()


def on_frame(images: Sequence[Volume], grid: Grid, through: Transform | None) -> torch.Tensor:
    """(C, I, J, K) in [0, 1] on `grid`; images of one person share its world."""
    return torch.cat([unit_intensities(image.resampled(grid, through).data[:1]) for image in images])


def _output(volume: Volume, grid: Grid, through: Transform | None, labels: tuple[int, ...]) -> torch.Tensor:
    """(L, I, J, K) masks, or (1, I, J, K) the image in [0, 1]."""
    if not labels:
        return unit_intensities(volume.resampled(grid, through).data[:1])
    seen = resample_labels(volume.data[0], volume.grid, grid, through)
    return torch.stack([(seen == value).float() for value in labels])


def _scale(outputs: Sequence[Volume]) -> tuple[float, float]:
    """Intensities that became 0 and 1, on average over the examples."""
    low, high = [], []
    for volume in outputs:
        flat = volume.data[:1].flatten()
        flat = flat[:: -(-len(flat) // 1_000_000)].float()
        low.append(float(torch.quantile(flat, 0.002)))
        lit = flat[flat > low[-1]]
        high.append(float(torch.quantile(lit, 0.995)) if len(lit) else low[-1] + 1)
    return float(np.mean(low)), float(np.mean(high))


def _about(volume: Volume, labels: tuple[int, ...], grid: Grid) -> Grid:
    """`grid` cut to where `volume` has one of the labels, and a margin; the whole where it has none."""
    seen = resample_labels(volume.data[0], volume.grid, grid)
    places = torch.isin(seen, torch.tensor(labels, dtype=seen.dtype)).nonzero()
    if not len(places):
        return grid
    margin = round(MARGIN_MM / float(grid.spacing[0]))
    low = (places.min(0).values - margin).clamp_min(0)
    high = torch.minimum(places.max(0).values + 1 + margin, torch.tensor(grid.shape))
    return grid.cropped(low.tolist(), high.tolist())


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of the local contrast of two images (I, J, K), at half resolution, where either shows anything.

    1 for the same image, whatever its brightness; 0.4 to 0.6 for two people's hippocampi laid on their centres; about 0
    for other anatomy; negative for another contrast, such as T2 for T1.
    """
    one, two = (F.avg_pool3d(image[None, None], 2)[0, 0] if min(image.shape) > 1 else image for image in (a, b))
    where = (one > 0.08) | (two > 0.08)
    if int(where.sum()) < 8:
        return 0.0
    one, two = (local_contrast(image, (5,))[0][where] for image in (one, two))
    one, two = one - one.mean(), two - two.mean()
    return float((one * two).sum() / (one.norm() * two.norm()).clamp_min(1e-6))
