"""The reference frame of in-context prediction: one grid on which examples and target are compared.

The grid is RAS-oriented and isotropic. The first example stays fixed and all other images are aligned to it, so that
each target needs one registration, whatever the number of examples.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.in_context.alignment import (
    REGISTERED,
    Alignment,
    align_to_reference,
    contains_brain,
    mean_local_ncc,
)
from SlicerSynthReg.in_context.slices import Example
from SlicerSynthReg.io.example_images import ExamplePair, unannotated_labels
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.intensity_matching import IntensityMapping, fit_intensity_mapping, resample_unscaled
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import rescale_intensity, robust_range
from SlicerSynthReg.spatial.label_resampling import resample_labels
from SlicerSynthReg.spatial.transform import Transform

MIN_SPACING_MM, MAX_SPACING_MM = 0.9, 2.1
"""Pixel sizes that the network was trained with."""
MARGIN_MM = 40.0
"""Margin of the grid about all labels."""


@dataclass(frozen=True)
class FrameConfig:
    """labels: label values of the classes, () for image outputs. spacing_mm: None for that of the first example.
    alignment: as for `align_to_reference`. missing_is_background: as for `unannotated_labels`."""

    labels: tuple[int, ...]
    alignment: str = "affine"
    spacing_mm: float | None = None
    missing_is_background: bool = False
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class ReferenceFrame:
    """Aligned examples.

    reference: image of the first example. has_brain: whether it shows a brain. examples, names: on the grid.
    output_range: intensities of an output image at 0 and 1. similarity: mean local correlation of the other examples
    with the first, None for a single one. mappings: of the intensities of each input. notes: messages for the user.
    """

    config: FrameConfig
    grid: Grid
    reference: Image
    has_brain: bool
    examples: tuple[Example, ...]
    names: tuple[str, ...]
    output_range: tuple[float, float]
    similarity: float | None
    mappings: tuple[IntensityMapping, ...]
    notes: tuple[str, ...]

    @property
    def labels(self) -> tuple[int, ...]:
        return self.config.labels

    def align(self, target: Image) -> Alignment:
        """Align a target image to the reference."""
        return align_to_reference(self.reference, target, self.config.alignment, self.config.device, self.has_brain)

    def resample(self, images: Sequence[Image], transform: Transform | None) -> torch.Tensor:
        """Return the images of one subject on the grid (C, I, J, K), in [0, 1]."""
        return _normalise([resample_unscaled(image, self.grid, transform) for image in images], self.mappings)


def build_reference_frame(pairs: Sequence[ExamplePair], config: FrameConfig) -> ReferenceFrame:
    """Align all examples to the first one and resample them to a common grid.

    Examples that annotate none of the labels are left out. Raises RequestError (code "memory") if the masks exceed the
    free memory.
    """
    labels = config.labels
    missing = [(pair, unannotated_labels(pair, labels, config.missing_is_background)) for pair in pairs]
    used = [(pair, lacks) for pair, lacks in missing if not labels or len(lacks) < len(labels)]
    unused = [pair.name for pair, lacks in missing if labels and len(lacks) == len(labels)]
    pairs = [pair for pair, _ in used]
    reference = pairs[0].inputs[0]
    spacing = config.spacing_mm or float(np.clip(np.sort(reference.grid.spacing)[1], MIN_SPACING_MM, MAX_SPACING_MM))
    grid = reference.grid.aligned_to_ras(spacing)
    has_brain = config.alignment in REGISTERED and contains_brain(reference, config.device)
    alignments = [Alignment(None)] + [
        align_to_reference(reference, pair.inputs[0], config.alignment, config.device, has_brain) for pair in pairs[1:]
    ]
    notes = [f"{name}: left out, because it shows other labels only." for name in unused]
    notes += [f"{pair.name}: {text}" for pair, alignment in zip(pairs, alignments) for text in alignment.notes]
    transforms = [alignment.transform for alignment in alignments]
    if labels:
        grid = _crop_to_labels(grid, [pair.output for pair in pairs], transforms, labels)
        _require_memory(grid, len(labels), len(pairs))
    resampled = [
        [resample_unscaled(image, grid, transform) for image in pair.inputs]
        for pair, transform in zip(pairs, transforms)
    ]
    outputs = [_resample_output(pair.output, grid, transform, labels) for pair, transform in zip(pairs, transforms)]
    mappings = tuple(fit_intensity_mapping([image[c] for image in resampled]) for c in range(len(pairs[0].inputs)))
    examples = [
        Example(_normalise(x, mappings), y, frozenset(map(labels.index, lacks)))
        for x, y, (_, lacks) in zip(resampled, outputs, used)
    ]
    similarity = [mean_local_ncc(e.x[0], examples[0].x[0]) for e in examples[1:]]
    return ReferenceFrame(
        config,
        grid,
        reference,
        has_brain,
        tuple(examples),
        tuple(pair.name for pair in pairs),
        (0.0, 1.0) if labels else _output_range([pair.output for pair in pairs]),
        float(np.mean(similarity)) if similarity else None,
        mappings,
        tuple(notes),
    )


def _require_memory(grid: Grid, labels: int, examples: int) -> None:
    """Raise RequestError if the masks of all labels and examples exceed the free memory."""
    needed = 4 * grid.voxel_count * labels * (examples + 2)
    free = psutil.virtual_memory().available
    if needed > 0.7 * free:
        raise RequestError(
            f"Found {labels} labels in {examples} examples, which need {needed / 1e9:.0f} GB of memory, expected at "
            f"most the {free / 1e9:.0f} GB that are free. Name fewer labels, or choose a larger spacing_mm.",
            code="memory",
        )


def _normalise(images: Sequence[torch.Tensor], mappings: Sequence[IntensityMapping]) -> torch.Tensor:
    """Return images (1, I, J, K) of one subject as (C, I, J, K) in [0, 1]."""
    return torch.cat([mapping.of(values) for mapping, values in zip(mappings, images)])


def _resample_output(image: Image, grid: Grid, transform: Transform | None, labels: tuple[int, ...]) -> torch.Tensor:
    """Return masks (L, I, J, K), or the image (1, I, J, K) in [0, 1]."""
    if not labels:
        return rescale_intensity(image.resampled(grid, transform).data[:1])
    values = resample_labels(image.data[0], image.grid, grid, transform)
    return torch.stack([(values == value).float() for value in labels])


def _output_range(outputs: Sequence[Image]) -> tuple[float, float]:
    """Return the intensities that map to 0 and 1, averaged over the examples."""
    low: list[float] = []
    high: list[float] = []
    for image in outputs:
        for ends, value in zip((low, high), robust_range(image.data[:1].float())):
            ends.append(float(value))
    return float(np.mean(low)), float(np.mean(high))


def _crop_to_labels(
    grid: Grid, images: Sequence[Image], transforms: Sequence[Transform | None], labels: tuple[int, ...]
) -> Grid:
    """Return `grid` cropped to the bounding box of the labels in all images plus a margin; `grid` without labels."""
    corners = []
    for image, transform in zip(images, transforms):
        voxels = torch.isin(image.data[0], torch.tensor(labels, dtype=image.data.dtype)).nonzero()
        if len(voxels):
            extent = zip(voxels.min(0).values.tolist(), voxels.max(0).values.tolist())
            world = image.grid.index_to_world(np.array(list(itertools.product(*extent)), dtype=float))
            fixed = world if transform is None else transform.inverse().map_points(world)
            corners.append(grid.world_to_index(fixed))
    if not corners:
        return grid
    points = np.concatenate(corners)
    margin = MARGIN_MM / float(grid.spacing[0])
    low, high = np.floor(points.min(0) - margin).astype(int), np.ceil(points.max(0) + margin).astype(int) + 1
    return grid.cropped(np.clip(low, 0, None).tolist(), np.minimum(high, grid.shape).tolist())
