"""The common grid on which examples and target are compared: upright, about the first example, others brought to it.

The first example stays, so that one registration a target is enough, however many examples there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from SlicerSynthReg.methods.neuralizer.slices import Example
from SlicerSynthReg.request import RequestError
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.space.voting import resample_labels
from SlicerSynthReg.tasks.context_bring import REGISTERED, bring, likeness, shows_brain
from SlicerSynthReg.tasks.context_inputs import Pair, not_drawn
from SlicerSynthReg.volume.brightness import Brightness, brightness_of, raw
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.volume import Volume

FINEST_MM, COARSEST_MM = 0.9, 2.1
"""Pixel sizes that the network was trained at."""
MARGIN_MM = 40.0
"""Kept about everything that is to be found."""


@dataclass(frozen=True, eq=False)
class Frame:
    """grid: upright, isotropic. anchor: the first example's image, to which all are brought. examples: on the grid.
    labels: values of the classes, () where the answer is an image. scale: intensities of that image at 0 and at 1.
    likeness: how much the examples look like the first, on average, None for a single one. brain: whether the anchor
    shows one. brightness: of each input."""

    grid: Grid
    anchor: Volume
    examples: tuple[Example, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    scale: tuple[float, float]
    likeness: float | None
    brain: bool
    brightness: tuple[Brightness, ...]
    notes: tuple[str, ...]

    def bring(self, target: Volume, alignment: str, device: str) -> tuple[Transform | None, tuple[str, ...]]:
        """As `context_bring.bring`, the anchor being fixed."""
        return bring(self.anchor, target, alignment, device, self.brain)

    def on_grid(self, images: Sequence[Volume], through: Transform | None) -> torch.Tensor:
        """(C, I, J, K) in [0, 1]; images of one person share its world."""
        return bright([raw(image, self.grid, through) for image in images], self.brightness)


def build_frame(
    pairs: Sequence[Pair],
    labels: tuple[int, ...],
    spacing: float | None,
    alignment: str,
    device: str,
    absent: bool = False,
) -> Frame:
    """All examples on the first one's frame. labels: () for images. absent: a label that an example lacks is not there,
    rather than not drawn; else examples that tell of none of the labels are left out."""
    lacking = [(pair, not_drawn(pair, labels, absent)) for pair in pairs]
    telling = [(pair, lacks) for pair, lacks in lacking if not labels or len(lacks) < len(labels)]
    idle = [pair.name for pair, lacks in lacking if labels and len(lacks) == len(labels)]
    pairs = [pair for pair, _ in telling]
    first_inputs = pairs[0].inputs
    first = first_inputs[0]
    pixel = spacing or float(np.clip(np.sort(first.grid.spacing)[1], FINEST_MM, COARSEST_MM))
    grid = first.grid.aligned_to_ras(pixel)
    brain = alignment in REGISTERED and shows_brain(first, device)
    brought = [(None, ()), *(bring(first, pair.inputs[0], alignment, device, brain) for pair in pairs[1:])]
    notes = [f"{name}: left out, for it shows other labels only." for name in idle]
    notes += [f"{pair.name}: {text}" for pair, (_, told) in zip(pairs, brought) for text in told]
    throughs = [through for through, _ in brought]
    if labels:
        grid = _about([pair.output for pair in pairs], throughs, labels, grid)
        _require_memory(grid, len(labels), len(pairs))
    seen = [[raw(image, grid, through) for image in pair.inputs] for pair, through in zip(pairs, throughs)]
    outputs = [_output(pair.output, grid, through, labels) for pair, through in zip(pairs, throughs)]
    brightness = tuple(brightness_of([one[c] for one in seen]) for c in range(len(first_inputs)))
    examples = [
        Example(bright(one, brightness), y, frozenset(map(labels.index, lacks)))
        for one, y, (_, lacks) in zip(seen, outputs, telling)
    ]
    alike = [likeness(e.x[0], examples[0].x[0]) for e in examples[1:]]
    return Frame(
        grid,
        first,
        tuple(examples),
        tuple(pair.name for pair in pairs),
        labels,
        (0.0, 1.0) if labels else _scale([pair.output for pair in pairs]),
        float(np.mean(alike)) if alike else None,
        brain,
        brightness,
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


def bright(seen: Sequence[torch.Tensor], brightness: Sequence[Brightness]) -> torch.Tensor:
    """Raw images (1, I, J, K) of one person -> (C, I, J, K) in [0, 1]."""
    return torch.cat([one.of(values) for one, values in zip(brightness, seen)])


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


def _about(
    volumes: Sequence[Volume], throughs: Sequence[Transform | None], labels: tuple[int, ...], grid: Grid
) -> Grid:
    """`grid` cut to the boxes of the labels in all volumes, brought to it, and a margin; the whole where none is."""
    corners = []
    for volume, through in zip(volumes, throughs):
        places = torch.isin(volume.data[0], torch.tensor(labels, dtype=volume.data.dtype)).nonzero()
        if len(places):
            extent = zip(places.min(0).values.tolist(), places.max(0).values.tolist())
            world = volume.grid.index_to_world(np.array(list(itertools.product(*extent)), dtype=float))
            corners.append(grid.world_to_index(world if through is None else through.inverse().map_points(world)))
    if not corners:
        return grid
    found = np.concatenate(corners)
    margin = MARGIN_MM / float(grid.spacing[0])
    low, high = np.floor(found.min(0) - margin).astype(int), np.ceil(found.max(0) + margin).astype(int) + 1
    return grid.cropped(np.clip(low, 0, None).tolist(), np.minimum(high, grid.shape).tolist())
