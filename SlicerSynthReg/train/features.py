"""Training the features of SynthMorph's shapes variant, on which its matching stands: from random shapes alone.

One map of random shapes, two contrasts, seen through two differently placed and turned crops: the features of a place
must be the same in both, unlike those of other places, and alike within a label (dense contrast after anatomix). Were
both crops the same, the network could pass by encoding where a voxel lies in its crop: measured, it found 99.6 % of
the places after 250 steps that way, and had learned nothing of what it saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.contrast import same_label, same_place
from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.space.transform import apply_matrix
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig, Looks
from SlicerSynthReg.synth.deform import DeformConfig, draw_deform, placement, warp_index
from SlicerSynthReg.synth.pair import ViewConfig, draw_view, view_at
from SlicerSynthReg.synth.shapes import ShapesConfig, draw_shapes, make_shapes


@dataclass(frozen=True)
class FeatureTaskConfig:
    """crop: voxels a side. points: places compared a step. near: voxels within which places are not told apart.

    levels: decoder levels that learn, as powers of two of the voxel. view: the warp common to both crops, and their
    contrasts. placing: how each crop lies in it.
    """

    net: UNetConfig = field(default_factory=UNetConfig)
    crop: int = 64
    points: int = 1536
    near: float = 3.0
    temperature: float = 0.1
    levels: tuple[int, ...] = (0, 1, 2, 3)
    view: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            DeformConfig((8, 16, 32), 1.0, 5, 30.0, 12.0, 0.12, 0.08, (0.9, 1.4)),
            ContrastConfig(),
            ArtefactConfig(thick_slices=0.2, crop=0.15),
        )
    )
    placing: DeformConfig = field(
        default_factory=lambda: DeformConfig((), 0.0, 0, rotation_degrees=12.0, shift_vox=12.0, scale=0.08, shear=0.05)
    )


class FeatureModel(nn.Module):
    """The network, read at several levels of its decoder."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.net = UNet(config)

    def forward(self, images: torch.Tensor, levels: tuple[int, ...]) -> list[torch.Tensor]:
        """Unit-length features at each of `levels`, 0 being the network's output."""
        pyramid = self.net.pyramid(images)
        return [F.normalize(self.net.head(pyramid[0]) if level == 0 else pyramid[level], dim=1) for level in levels]


@dataclass(frozen=True)
class Matched:
    """z1, z2: for each level (N, C) unit features of N places in two views; places (N, 3) voxels of the second;
    labels (N,)."""

    z1: tuple[torch.Tensor, ...]
    z2: tuple[torch.Tensor, ...]
    places: torch.Tensor
    labels: torch.Tensor


class FeatureTask:
    """Random shapes; nothing is held out, for no shape is ever drawn twice."""

    def __init__(self, config: FeatureTaskConfig, device: str = "cpu") -> None:
        self.config, self.device, self.looks = config, device, Looks.arbitrary(ShapesConfig().labels)
        self.model = FeatureModel(config.net).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        matched = self._matched(self.model, torch.Generator().manual_seed(step), self.config.points)
        t, terms = self.config.temperature, {}
        for level, z1, z2 in zip(self.config.levels, matched.z1, matched.z2):
            near = self.config.near * 2 ** max(level - 1, 0)
            terms[f"place{level}"] = same_place(z1, z2, matched.places, near, t)
            terms[f"label{level}"] = same_label(z1, z2, matched.labels, t)
        return {"loss": sum(terms.values()) / len(self.config.levels), **terms}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Finest level: share of places found within 3 voxels in the other view, and of those whose label is right."""
        near, right, count = 0.0, 0.0, 12
        for n in range(count):
            matched = self._matched(model, torch.Generator().manual_seed(10_000_000 + n), 1000)
            found = (matched.z1[0] @ matched.z2[0].T).argmax(1)
            near += float(((matched.places - matched.places[found]).norm(dim=1) <= 3).float().mean()) / count
            right += float((matched.labels == matched.labels[found]).float().mean()) / count
        return {"score": near + right, "place": near, "label": right}

    def _matched(self, model: nn.Module, generator: torch.Generator, count: int) -> Matched:
        """Features of the same places of one map in two views."""
        side = (self.config.crop,) * 3
        wide = tuple(n * 3 // 2 for n in side)
        one, two = (draw_view(self.config.view, self.looks, generator) for _ in range(2))
        placings = [draw_deform(self.config.placing, generator) for _ in range(2)]
        source = make_shapes(draw_shapes(ShapesConfig(), generator), wide, self.device)
        common = warp_index([one.deform], wide, wide, self.device)
        views = [
            view_at(
                source[None], sample(common, warp_index([placing], wide, side, self.device), padding="border"), [view]
            )
            for view, placing in zip((one, two), placings)
        ]
        images = torch.cat([view.image for view in views]).contiguous(memory_format=torch.channels_last_3d)
        pyramid = model(images, self.config.levels)
        first_of_second = np.linalg.solve(*(placement(p, wide, side) for p in placings))
        labels = views[1].labels[0]
        flat = balanced_points(labels, count * 2, generator)
        second = torch.stack(torch.unravel_index(flat, side)).float()
        first = apply_matrix(first_of_second, second)
        seen = ((first >= 0) & (first <= self.config.crop - 1)).all(0).nonzero()[:count, 0]
        z1, z2 = (
            tuple(_read(f[n : n + 1], at[:, seen], level) for level, f in zip(self.config.levels, pyramid))
            for n, at in enumerate((first, second))
        )
        return Matched(z1, z2, second[:, seen].T, labels.flatten()[flat[seen]].long())


def _read(features: torch.Tensor, index: torch.Tensor, level: int) -> torch.Tensor:
    """Unit features (N, C) of a level at full-resolution voxel indices (3, N); a level's voxels are blocks."""
    block = 2**level
    at = (index - (block - 1) / 2) / block
    return F.normalize(sample(features, at[None], padding="border")[0].T, dim=1)


def balanced_points(labels: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` flat voxel indices of `labels` (I, J, K), drawn with weight 1 / sqrt(label size); background rarely."""
    flat = labels.flatten().long()
    sizes = torch.bincount(flat).clamp_min(1).float()
    weight = sizes.rsqrt()
    weight[0] *= 0.1
    candidates = torch.randint(0, len(flat), (count * 24,), generator=generator).to(flat.device)
    chosen = torch.multinomial(weight[flat[candidates]].cpu(), count, replacement=False, generator=generator)
    return candidates[chosen.to(candidates.device)]
