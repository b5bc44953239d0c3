"""Sources of single training images with segmentations: synthetic shapes, label maps, or a user's images.

Each draws an image (1, 1, I, J, K) in [0, 1] and class indices (1, I, J, K) below `classes`; images without
segmentation have no class indices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.deformation import (
    DeformationConfig,
    draw_deformation,
    warp_image,
    warp_index,
    warp_labels,
)
from SlicerSynthReg.synthesis.ensembles import EnsembleConfig, EnsembleDraw, draw_ensemble, make_ensemble
from SlicerSynthReg.synthesis.mr_contrast import (
    IntensityTables,
    MRContrastConfig,
    draw_mr_contrast,
    sample_intensities,
    simulate_acquisition,
)
from SlicerSynthReg.synthesis.pair import ViewConfig, draw_view, make_view
from SlicerSynthReg.synthesis.scanner import ScannerConfig, add_texture, draw_scanner, simulate_scanner
from SlicerSynthReg.synthesis.templates import KINDS


class ImageSource(Protocol):
    """A source of images. Draws depend on the generator alone."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    def __call__(self, generator: torch.Generator, held_out: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Draw an image and its class indices. held_out: from images that are not trained on, if there are any."""


@dataclass(frozen=True)
class ShapeImages:
    """Label ensembles; the class is the kind of a shape, such as tubes, at any contrast. Needs no data."""

    size: int = 48
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    contrast: MRContrastConfig = field(
        default_factory=lambda: MRContrastConfig((25.0, 255.0), (5.0, 20.0), 0.25, gamma_sd=0.35)
    )
    scanner: ScannerConfig = field(default_factory=ScannerConfig)
    device: str = "cpu"
    classes: int = len(KINDS) + 3

    def __call__(self, generator: torch.Generator, held_out: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        record = draw_ensemble(self.ensemble, generator)
        labels = make_ensemble(record, (self.size,) * 3, device=self.device)[None]
        tables = IntensityTables.independent(self.ensemble.labels)
        contrast, scanner = draw_mr_contrast(self.contrast, tables, generator), draw_scanner(self.scanner, generator)
        image = simulate_acquisition(add_texture(sample_intensities(labels, [contrast]), [scanner]), [contrast])
        return simulate_scanner(image, [scanner]), shape_class(record).to(self.device)[labels.long()]


def shape_class(record: EnsembleDraw) -> torch.Tensor:
    """Return the class of each label of `make_ensemble`: 0 empty, 1 between shapes, 2 envelope, then one per kind."""
    kinds = list(KINDS)
    return torch.tensor([0, 1, *(3 + kinds.index(template.kind) for template in record.templates), 2])


@dataclass(frozen=True, eq=False)
class LabelMapImages:
    """Label maps of subjects (uint8 indices) in random contrasts. class_of: class of each label index. held_out: maps
    that are not trained on."""

    maps: tuple[torch.Tensor, ...]
    held_out: tuple[torch.Tensor, ...]
    class_of: tuple[int, ...]
    tables: IntensityTables
    view: ViewConfig
    size: int = 64
    device: str = "cpu"

    @property
    def classes(self) -> int:
        return max(self.class_of) + 1

    def __call__(self, generator: torch.Generator, held_out: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.held_out if held_out else self.maps
        source = maps[draw.integer(generator, 0, len(maps) - 1)].to(self.device)
        view = make_view(source[None], [draw_view(self.view, self.tables, generator)], (self.size,) * 3)
        return view.image, torch.tensor(self.class_of, device=self.device)[view.labels.long()]


@dataclass(frozen=True, eq=False)
class UserImages:
    """A user's images (I, J, K) in [0, 1] of one voxel size, with or without class indices; random affine crops of
    `size` voxels. The last image is held out if there are several."""

    images: tuple[torch.Tensor, ...]
    labels: tuple[torch.Tensor, ...] | None
    classes: int
    size: int = 64
    deformation: DeformationConfig = field(
        default_factory=lambda: DeformationConfig((8, 16), 0.5, 5, rotation_degrees=15.0, shift_vox=24.0, scale=0.1)
    )
    device: str = "cpu"

    def __call__(self, generator: torch.Generator, held_out: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
        known = max(1, len(self.images) - 1)
        n = len(self.images) - 1 if held_out else draw.integer(generator, 0, known - 1)
        record = draw_deformation(self.deformation, generator)
        image = self.images[n][None, None].to(self.device)
        index = warp_index([record], tuple(image.shape[2:]), (self.size,) * 3, self.device)
        gamma = 2.0 ** draw.uniform(generator, -0.5, 0.5)
        crop = warp_image(image, index).clamp(0, 1) ** gamma
        labels = None if self.labels is None else warp_labels(self.labels[n][None].to(self.device), index)
        return crop, labels
