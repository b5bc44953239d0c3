"""The common grid on which examples and target are compared: upright, about the first example, others brought to it.

The first example stays, so that one registration a target is enough, however many examples there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from SlicerSynthReg.methods.neuralizer.examples import Example
from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.space.voting import resample_labels
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.tasks.context_inputs import Pair
from SlicerSynthReg.tasks.model import chosen_card
from SlicerSynthReg.tasks.prepare import local_contrast
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.volume import Volume, VolumeError

FINEST_MM, COARSEST_MM = 0.9, 2.1
"""Pixel sizes that the network was trained at."""
MARGIN_MM = 40.0
"""Kept about everything that is labelled."""
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
        grid = _about(pairs[0].output, grid)
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
        found = align(_network(), card.spacing_mm if card else REGISTERED_AT_MM, fixed, moving, config)
    except VolumeError:
        return centred, ("too small to be registered, so its centre was laid on the first example's.",)
    grid = fixed.grid.aligned_to_ras(max(REGISTERED_AT_MM, float(fixed.grid.spacing.min())))
    seen = unit_intensities(fixed.resampled(grid).data[0])
    registered, by_centre = (
        likeness(unit_intensities(moving.resampled(grid, t).data[0]), seen) for t in (found.transform, centred)
    )
    if by_centre > registered + 0.02:
        return centred, ("registration made it less alike, so its centre was laid on the first example's.",)
    return found.transform, ()


@lru_cache(maxsize=1)
def _network() -> SynthMorph | None:
    """Kept between the requests of one worker."""
    card = chosen_card(None)
    return SynthMorph.load(card) if card else None


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


def _about(labels: Volume, grid: Grid) -> Grid:
    """`grid` cut to what is labelled and a margin; the whole where the first example's mask is empty."""
    seen = resample_labels(labels.data[0], labels.grid, grid)
    places = (seen != 0).nonzero()
    if not len(places):
        return grid
    margin = round(MARGIN_MM / float(grid.spacing[0]))
    low = (places.min(0).values - margin).clamp_min(0)
    high = torch.minimum(places.max(0).values + 1 + margin, torch.tensor(grid.shape))
    return grid.cropped(low.tolist(), high.tolist())


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    """|correlation| of the local contrast of two images (I, J, K) where either shows anything: 1 for the same image,
    whatever its brightness; negatives of each other are alike."""
    where = (a > 0.08) | (b > 0.08)
    if int(where.sum()) < 8:
        return 0.0
    one, two = (local_contrast(image, (3,))[0][where] for image in (a, b))
    one, two = one - one.mean(), two - two.mean()
    return abs(float((one * two).sum() / (one.norm() * two.norm()).clamp_min(1e-6)))
