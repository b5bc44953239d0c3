"""Training the network of SynthMorph's brains variant: in any contrast, what lies where.

Label maps of people are warped, rendered in a contrast of their own and cropped; the network's unit-length features
are compared with one learned prototype a structure (soft Dice and cross-entropy, as SynthSeg). Left and right are one
structure at full resolution and two at an eighth, where the whole head is in sight.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.overlap import soft_dice_loss
from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig
from SlicerSynthReg.synth.deform import DeformConfig
from SlicerSynthReg.synth.pair import View, ViewConfig, draw_view, make_view
from SlicerSynthReg.synth.tissues import ANATOMY, BRAIN, anatomy_of
from SlicerSynthReg.train.labelmaps import LabelMaps

FIRST_OF_BRAIN = list(ANATOMY).index(BRAIN[0])


@dataclass(frozen=True)
class AnatomyTaskConfig:
    """crop: voxels a side. people: views a step. stripped: share of the heads of which only the brain is left, half of
    them without the fluid around it. view: how they are made from label maps of 1 mm. temperature: of features times
    prototypes. sides: decoder level that tells left from right."""

    net: UNetConfig = field(default_factory=UNetConfig)
    crop: int = 64
    people: int = 2
    stripped: float = 0.2
    temperature: float = 0.1
    sides: int = 2
    view: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            DeformConfig((8, 16, 32), 1.0, 5, 20.0, 32.0, 0.12, 0.08, (1.9, 2.8)),
            ContrastConfig(scan_like=0.6),
            ArtefactConfig(thick_slices=0.2, crop=0.1),
        )
    )


class AnatomyModel(nn.Module):
    """The network and its prototypes: of structures at the finest level, of all labels at the level of sides."""

    def __init__(self, config: AnatomyTaskConfig, labels: int) -> None:
        super().__init__()
        self.net = UNet(config.net)
        self.prototypes = nn.Linear(config.net.outputs, len(ANATOMY), bias=False)
        self.sides = nn.Linear(config.net.widths[config.sides], labels, bias=False)


class AnatomyTask:
    """The last `held_out` maps are for validation only."""

    def __init__(self, config: AnatomyTaskConfig, maps: LabelMaps, held_out: int = 2, device: str = "cpu") -> None:
        self.config, self.device, self.looks = config, device, maps.looks
        self.maps, self.unseen = maps.people(held_out, margin=60)
        self.structure = torch.tensor(anatomy_of(maps.values), device=device)
        self.stripped = [_stripped(maps.values, kept) for kept in (BRAIN, (*BRAIN, "fluid around the brain"))]
        self.model = AnatomyModel(config, len(maps.values)).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        view = self._view(self.maps, torch.Generator().manual_seed(step), self.config.people)
        fine, coarse = self._logits(self.model, view.image)
        labels = view.labels.long()
        structures = label_loss(fine, self.structure[labels])
        block = 2**self.config.sides
        sides = label_loss(coarse, labels[:, block // 2 :: block, block // 2 :: block, block // 2 :: block])
        return {"loss": structures + 0.5 * sides, "structures": structures, "sides": sides}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Hard Dice over 12 views of unseen people: mean over the brain's structures, of the brain as a whole, each."""
        count = len(ANATOMY)
        shared, sizes, brain_shared, brain_sizes = torch.zeros(count), torch.zeros(count), 0, 0
        for n in range(12):
            view = self._view(self.unseen, torch.Generator().manual_seed(10_000_000 + n), 1)
            found = self._logits(model, view.image)[0].argmax(1).flatten()
            truth = self.structure[view.labels.long()].flatten()
            shared += torch.bincount(found[found == truth], minlength=count).cpu()
            sizes += (torch.bincount(found, minlength=count) + torch.bincount(truth, minlength=count)).cpu()
            in_found, in_truth = found >= FIRST_OF_BRAIN, truth >= FIRST_OF_BRAIN
            brain_shared += int((in_found & in_truth).sum())
            brain_sizes += int(in_found.sum() + in_truth.sum())
        dice = 2 * shared / sizes.clamp_min(1)
        each = {name.replace(" ", "_"): float(d) for name, d in zip(ANATOMY, dice)}
        return {"score": float(dice[FIRST_OF_BRAIN:].mean()), "brain": 2 * brain_shared / max(brain_sizes, 1), **each}

    def _view(self, maps: list[torch.Tensor], generator: torch.Generator, people: int) -> View:
        """`people` views, each of someone; one after the other, for maps differ in size."""
        side = (self.config.crop,) * 3
        views = []
        for _ in range(people):
            source = maps[draw.integer(generator, 0, len(maps) - 1)]
            if draw.chance(generator, self.config.stripped):
                source = self.stripped[draw.integer(generator, 0, 1)][source.long()]
            drawn = draw_view(self.config.view, self.looks, generator)
            views.append(make_view(source[None].to(self.device), [drawn], side))
        return View(*(torch.cat(parts) for parts in zip(*((v.labels, v.image, v.index) for v in views))))

    def _logits(self, model: AnatomyModel, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, structures, I, J, K) and (B, labels, I / 2^sides, ...)."""
        pyramid = model.net.pyramid(images.contiguous(memory_format=torch.channels_last_3d))
        fine = _compared(model.net.head(pyramid[0]), model.prototypes, self.config.temperature)
        return fine, _compared(pyramid[self.config.sides], model.sides, self.config.temperature)


def _stripped(values: tuple[int, ...], kept: tuple[str, ...]) -> torch.Tensor:
    """For each label index (uint8): itself where its structure is in `kept`, else the background's."""
    names = [list(ANATOMY)[place] for place in anatomy_of(values)]
    return torch.tensor([n if name in kept else values.index(0) for n, name in enumerate(names)], dtype=torch.uint8)


def _compared(features: torch.Tensor, prototypes: nn.Linear, temperature: float) -> torch.Tensor:
    """Cosine of each voxel's features with each prototype, over the temperature."""
    kernel = F.normalize(prototypes.weight, dim=1)[:, :, None, None, None] / temperature
    return F.conv3d(F.normalize(features, dim=1), kernel)


def label_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus 1 - soft Dice over all labels: logits (B, L, I, J, K), labels (B, I, J, K)."""
    one_hot = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    return F.cross_entropy(logits, labels) + soft_dice_loss(torch.softmax(logits, 1), one_hot)
