"""Single images to learn what is seen in them: shapes by kind, people's label maps, or a user's own images.

Each source draws an image (1, 1, I, J, K) in [0, 1] and its classes (1, I, J, K), numbers below `classes`; a source of
images without segmentations has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch

from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.contrast import ContrastConfig, Looks, draw_contrast, painted, scanned
from SlicerSynthReg.synth.deform import DeformConfig, draw_deform, warp_image, warp_index, warp_labels
from SlicerSynthReg.synth.ensembles import EnsembleConfig, EnsembleDraw, draw_ensemble, make_ensemble
from SlicerSynthReg.synth.pair import ViewConfig, draw_view, make_view
from SlicerSynthReg.synth.scanner import ScannerConfig, acquired, draw_scanner, textured
from SlicerSynthReg.synth.templates import KINDS


class Pictures(Protocol):
    """Where images come from. Whatever is drawn depends on the generator alone."""

    @property
    def classes(self) -> int:
        """How many there are."""

    def __call__(self, generator: torch.Generator, unseen: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
        """An image and its classes; unseen: of those that are not trained on, where there are such."""


@dataclass(frozen=True)
class KindPictures:
    """Label ensembles; a class is the kind of a shape, such as tubes, whatever its contrast. No data is needed."""

    side: int = 48
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    contrast: ContrastConfig = field(
        default_factory=lambda: ContrastConfig((25.0, 255.0), (5.0, 20.0), 0.25, gamma_sd=0.35)
    )
    scanner: ScannerConfig = field(default_factory=ScannerConfig)
    device: str = "cpu"
    classes: int = len(KINDS) + 3

    def __call__(self, generator: torch.Generator, unseen: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        record = draw_ensemble(self.ensemble, generator)
        labels = make_ensemble(record, (self.side,) * 3, device=self.device)[None]
        looks = Looks.arbitrary(self.ensemble.labels)
        contrast, scanner = draw_contrast(self.contrast, looks, generator), draw_scanner(self.scanner, generator)
        image = scanned(textured(painted(labels, [contrast]), [scanner]), [contrast])
        return acquired(image, [scanner]), kind_of_label(record).to(self.device)[labels.long()]


def kind_of_label(record: EnsembleDraw) -> torch.Tensor:
    """Class by label value of `make_ensemble`: 0 empty, 1 between shapes, 2 envelope, then one for each kind."""
    kinds = list(KINDS)
    return torch.tensor([0, 1, *(3 + kinds.index(template.kind) for template in record.templates), 2])


@dataclass(frozen=True, eq=False)
class MapPictures:
    """Label maps of people (uint8 indices) in contrasts at random; class: by label index. unseen: of `held_out`."""

    maps: tuple[torch.Tensor, ...]
    held_out: tuple[torch.Tensor, ...]
    class_of: tuple[int, ...]
    looks: Looks
    view: ViewConfig
    side: int = 64
    device: str = "cpu"

    @property
    def classes(self) -> int:
        return max(self.class_of) + 1

    def __call__(self, generator: torch.Generator, unseen: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.held_out if unseen else self.maps
        source = maps[draw.integer(generator, 0, len(maps) - 1)].to(self.device)
        view = make_view(source[None], [draw_view(self.view, self.looks, generator)], (self.side,) * 3)
        return view.image, torch.tensor(self.class_of, device=self.device)[view.labels.long()]


@dataclass(frozen=True, eq=False)
class OwnPictures:
    """A user's images (I, J, K) in [0, 1] on grids of one voxel size, with their classes or without; crops of `side`
    voxels, turned and moved. The last is unseen, where there are more than one."""

    images: tuple[torch.Tensor, ...]
    labels: tuple[torch.Tensor, ...] | None
    classes: int
    side: int = 64
    placing: DeformConfig = field(
        default_factory=lambda: DeformConfig((8, 16), 0.5, 5, rotation_degrees=15.0, shift_vox=24.0, scale=0.1)
    )
    device: str = "cpu"

    def __call__(self, generator: torch.Generator, unseen: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
        known = max(1, len(self.images) - 1)
        n = len(self.images) - 1 if unseen else draw.integer(generator, 0, known - 1)
        record = draw_deform(self.placing, generator)
        image = self.images[n][None, None].to(self.device)
        index = warp_index([record], tuple(image.shape[2:]), (self.side,) * 3, self.device)
        gamma = 2.0 ** draw.uniform(generator, -0.5, 0.5)
        seen = warp_image(image, index).clamp(0, 1) ** gamma
        labels = None if self.labels is None else warp_labels(self.labels[n][None].to(self.device), index)
        return seen, labels
