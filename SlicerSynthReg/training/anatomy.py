"""Training of SynthMorph's brain network: segmentation of brain structures in any contrast.

Label maps are deformed, rendered in a random contrast and cropped (SynthMorph; Billot et al. 2023, SynthSeg). The
network's unit-length features are classified by cosine similarity with one learned prototype a structure; loss: soft
Dice and cross-entropy. At full resolution left and right of a structure are one class; at an eighth of the resolution,
where the field of view is large, they are two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.dice import dice_cross_entropy_loss
from SlicerSynthReg.metrics.overlap import dice_of_counts, overlap_counts
from SlicerSynthReg.networks.unet import UNet, UNetConfig
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig
from SlicerSynthReg.synthesis.deformation import DeformationConfig
from SlicerSynthReg.synthesis.mr_contrast import MRContrastConfig
from SlicerSynthReg.synthesis.pair import View, ViewConfig, draw_view, make_view
from SlicerSynthReg.synthesis.tissues import BRAIN_STRUCTURES, STRUCTURES, structure_indices
from SlicerSynthReg.training.label_maps import LabelMaps

FIRST_BRAIN_STRUCTURE = list(STRUCTURES).index(BRAIN_STRUCTURES[0])
VALIDATION_SEED, VALIDATION_VIEWS = 10_000_000, 12


@dataclass(frozen=True)
class AnatomyTaskConfig:
    """crop: voxels a side. views: of different subjects, in a step. skull_strip_probability: of removing everything but
    the brain, half of these with the fluid around it. temperature: of the cosine similarities. lateral_level: decoder
    level at which left and right are classified. view: how a view is drawn from label maps of 1 mm."""

    net: UNetConfig = field(default_factory=UNetConfig)
    crop: int = 64
    views: int = 2
    skull_strip_probability: float = 0.2
    temperature: float = 0.1
    lateral_level: int = 2
    view: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            DeformationConfig((8, 16, 32), 1.0, 5, 20.0, 32.0, 0.12, 0.08, (1.9, 2.8)),
            MRContrastConfig(table_probability=0.6),
            ArtefactConfig(thick_slices=0.2, crop=0.1),
        )
    )


class AnatomyModel(nn.Module):
    """U-Net with prototypes of structures at the finest level and of all label values at the lateral level."""

    def __init__(self, config: AnatomyTaskConfig, labels: int) -> None:
        super().__init__()
        self.net = UNet(config.net)
        self.prototypes = nn.Linear(config.net.outputs, len(STRUCTURES), bias=False)
        self.lateral_prototypes = nn.Linear(config.net.widths[config.lateral_level], labels, bias=False)


class AnatomyTask:
    """Training task on label maps; the last `validation_cases` maps are for validation only."""

    def __init__(
        self, config: AnatomyTaskConfig, maps: LabelMaps, validation_cases: int = 2, device: str = "cpu"
    ) -> None:
        self.config, self.device, self.tables = config, device, maps.intensity_tables
        self.training_maps, self.validation_maps = maps.split(validation_cases, margin_vox=60)
        self.structure = torch.tensor(structure_indices(maps.values), device=device)
        kept = (BRAIN_STRUCTURES, (*BRAIN_STRUCTURES, "fluid around the brain"))
        self.skull_stripped_labels = [_keep_structures(maps.values, names) for names in kept]
        self.model = AnatomyModel(config, len(maps.values)).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        view = self._views(self.training_maps, torch.Generator().manual_seed(step), self.config.views)
        fine, coarse = self._logits(self.model, view.image)
        labels = view.labels.long()
        structures = dice_cross_entropy_loss(fine, self.structure[labels])
        block = 2**self.config.lateral_level
        centres = labels[:, block // 2 :: block, block // 2 :: block, block // 2 :: block]
        lateral = dice_cross_entropy_loss(coarse, centres)
        return {"loss": structures + 0.5 * lateral, "structures": structures, "lateral": lateral}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return Dice over views of validation subjects: "score" (mean of brain structures), "brain", each
        structure."""
        count = len(STRUCTURES)
        structures, brain = torch.zeros(2, count), torch.zeros(2, 2)
        for n in range(VALIDATION_VIEWS):
            view = self._views(self.validation_maps, torch.Generator().manual_seed(VALIDATION_SEED + n), 1)
            predicted = self._logits(model, view.image)[0].argmax(1)
            truth = self.structure[view.labels.long()]
            structures += overlap_counts(predicted, truth, count).cpu()
            brain += overlap_counts(predicted >= FIRST_BRAIN_STRUCTURE, truth >= FIRST_BRAIN_STRUCTURE, 2).cpu()
        dice = dice_of_counts(structures)
        each = {name.replace(" ", "_"): float(d) for name, d in zip(STRUCTURES, dice)}
        return {"score": float(dice[FIRST_BRAIN_STRUCTURE:].mean()), "brain": float(dice_of_counts(brain)[1]), **each}

    def _views(self, maps: list[torch.Tensor], generator: torch.Generator, count: int) -> View:
        """Return `count` views of random subjects as a batch."""
        shape = (self.config.crop,) * 3
        views = []
        for _ in range(count):
            source = maps[draw.integer(generator, 0, len(maps) - 1)]
            if draw.chance(generator, self.config.skull_strip_probability):
                source = self.skull_stripped_labels[draw.integer(generator, 0, 1)][source.long()]
            record = draw_view(self.config.view, self.tables, generator)
            views.append(make_view(source[None].to(self.device), [record], shape))
        return View(*(torch.cat(parts) for parts in zip(*((v.labels, v.image, v.index) for v in views))))

    def _logits(self, model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits of the structures (B, S, I, J, K) and of the label values (B, L, I / 2^lateral_level, ...)."""
        assert isinstance(model, AnatomyModel)
        pyramid = model.net.pyramid(images.contiguous(memory_format=torch.channels_last_3d))
        fine = _cosine_logits(model.net.head(pyramid[0]), model.prototypes, self.config.temperature)
        coarse = pyramid[self.config.lateral_level]
        return fine, _cosine_logits(coarse, model.lateral_prototypes, self.config.temperature)


def _keep_structures(values: tuple[int, ...], kept: tuple[str, ...]) -> torch.Tensor:
    """Return for each label index (uint8) itself if its structure is in `kept`, else the background's index."""
    names = [list(STRUCTURES)[structure] for structure in structure_indices(values)]
    return torch.tensor([n if name in kept else values.index(0) for n, name in enumerate(names)], dtype=torch.uint8)


def _cosine_logits(features: torch.Tensor, prototypes: nn.Linear, temperature: float) -> torch.Tensor:
    """Return the cosine of each voxel's features with each prototype, divided by the temperature."""
    kernel = F.normalize(prototypes.weight, dim=1)[:, :, None, None, None] / temperature
    return F.conv3d(F.normalize(features, dim=1), kernel)
