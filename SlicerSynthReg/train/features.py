"""Training features that look alike wherever the same is seen, in any contrast: from shapes that never existed.

One label map, two contrasts, seen through two differently placed and turned crops; what the network sees of one label
must be alike in both and unlike other labels (multi-positive contrast at several decoder levels, anatomix eq. 1), and
at some levels the features of a place unlike those of other places as well.

Two label engines serve: label ensembles of templates (anatomix) for the network of any anatomy, and SynthMorph's
random shapes for the features of its shapes variant.

Departures. The paper shows both views in one crop, and compares labels alone. Were both crops the same, the network
could pass by encoding where a voxel lies in its crop: measured, it found 99.6 % of the places after 250 steps that
way, and had learned nothing of what it saw. Labels are compared across the views alone: within one, brightness is
enough to tell them. Telling places apart gives the output slopes within a label too, which registration follows. An
ensemble serves several steps, each with contrasts and crops of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.contrast import same_label, same_place
from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.space.transform import apply_matrix
from SlicerSynthReg.synth.artefacts import ArtefactConfig, apply_artefacts, draw_artefacts
from SlicerSynthReg.synth.contrast import ContrastConfig, Looks, draw_contrast, painted, scanned
from SlicerSynthReg.synth.deform import DeformConfig, draw_deform, placement, warp_index, warp_labels
from SlicerSynthReg.synth.ensembles import EnsembleConfig, draw_ensemble, make_ensemble
from SlicerSynthReg.synth.scanner import ScannerConfig, acquired, draw_scanner, textured
from SlicerSynthReg.synth.shapes import ShapesConfig, draw_shapes, make_shapes


@dataclass(frozen=True)
class FeatureTaskConfig:
    """engine: what the label maps are made by. crop: voxels a side. serves: steps that one label map serves.

    points: places compared a step. levels: what learns labels, powers of two of the voxel, -1 the network's output;
    place_levels: what learns places also, weighed by `place`. near: voxels within which places are not told apart.
    projection: width of the heads between features and comparison of labels, 0 for none. placing: how each crop lies.
    within_views: whether labels are compared within each view as well, as the paper does.
    """

    engine: EnsembleConfig | ShapesConfig = field(default_factory=EnsembleConfig)
    net: UNetConfig = field(default_factory=UNetConfig)
    crop: int = 48
    serves: int = 4
    points: int = 768
    levels: tuple[int, ...] = (-1, 0, 1, 2, 3, 4)
    temperature: float = 0.33
    projection: int = 128
    place_levels: tuple[int, ...] = (-1,)
    place: float = 0.25
    place_temperature: float = 0.1
    near: float = 3.0
    within_views: bool = False
    placing: DeformConfig = field(
        default_factory=lambda: DeformConfig((), 0.0, 0, rotation_degrees=12.0, shift_vox=12.0, scale=0.08, shear=0.05)
    )
    contrast: ContrastConfig = field(
        default_factory=lambda: ContrastConfig((25.0, 255.0), (5.0, 20.0), 0.25, gamma_sd=0.35)
    )
    scanner: ScannerConfig = field(default_factory=ScannerConfig)
    artefacts: ArtefactConfig = field(default_factory=lambda: ArtefactConfig(thick_slices=0.33, crop=0.1))

    @classmethod
    def shapes(cls) -> FeatureTaskConfig:
        """The features of SynthMorph's shapes variant, which its matching compares as they are, level by level."""
        levels = (-1, 1, 2, 3, 4)
        return cls(ShapesConfig(), levels=levels, projection=0, place_levels=levels, place=1.0)


class FeatureModel(nn.Module):
    """The network, read at its output and at levels of its decoder, and the heads through which labels are compared."""

    def __init__(self, config: FeatureTaskConfig) -> None:
        super().__init__()
        self.net = UNet(config.net)
        widths = {-1: config.net.outputs, **dict(enumerate(config.net.widths))}
        widths[0] = max(widths[0], config.net.outputs)
        self.heads = nn.ModuleDict(
            {str(level): _projection(widths[level], config.projection) for level in config.levels if config.projection}
        )

    def forward(self, images: torch.Tensor, levels: tuple[int, ...]) -> list[torch.Tensor]:
        """Features (B, C, I / 2^level, ...) at each of `levels`, -1 being the network's output."""
        pyramid = self.net.pyramid(images)
        return [self.net.head(pyramid[0]) if level < 0 else pyramid[level] for level in levels]

    def projected(self, z: torch.Tensor, level: int) -> torch.Tensor:
        """What is compared of features (N, C): unit vectors."""
        return F.normalize(self.heads[str(level)](z) if str(level) in self.heads else z, dim=1)


def _projection(inputs: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for given in (inputs, width):
        layers += [nn.Linear(given, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(width, width))


@dataclass(frozen=True)
class Matched:
    """N places in two views. z1, z2: for each level (N, C) features; first, second (N, 3): their voxels; labels (N,);
    outputs: the network's output in both views, (2, C, I, J, K)."""

    z1: tuple[torch.Tensor, ...]
    z2: tuple[torch.Tensor, ...]
    first: torch.Tensor
    second: torch.Tensor
    labels: torch.Tensor
    outputs: torch.Tensor


class FeatureTask:
    """masks: shapes that serve as templates beside the generated ones, (A, B, C) uint8, 255 inside; ensembles alone use
    them. Nothing is held out, for no label map is ever drawn twice."""

    def __init__(self, config: FeatureTaskConfig, device: str = "cpu", masks: tuple[torch.Tensor, ...] = ()) -> None:
        self.config, self.device, self.masks = config, device, masks
        self.looks = Looks.arbitrary(config.engine.labels)
        self.model = FeatureModel(config).to(device).to(memory_format=torch.channels_last_3d)
        self._map = lru_cache(2)(self._made)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        config = self.config
        matched = self._matched(self.model, step // config.serves, torch.Generator().manual_seed(step), config.points)
        terms, count = {}, len(matched.labels)
        views = None if config.within_views else torch.arange(2, device=self.device).repeat_interleave(count)
        for level, z1, z2 in zip(config.levels, matched.z1, matched.z2):
            z = self.model.projected(torch.cat([z1, z2]), level)
            terms[f"label{level}"] = same_label(z, matched.labels.repeat(2), config.temperature, views)
        loss = sum(terms.values()) / len(config.levels)
        for level in config.place_levels:
            z1, z2 = (F.normalize(z[config.levels.index(level)], dim=1) for z in (matched.z1, matched.z2))
            near = config.near * 2 ** max(level - 1, 0)
            place = same_place(z1, z2, matched.second, near, config.place_temperature)
            terms[f"place{level}"], loss = place, loss + config.place * place / len(config.place_levels)
        return {"loss": loss, **terms}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """On unseen maps: "label", share of places whose nearest in the other view has their label; "located", how many
        of a place's surroundings in the other view match it worse than the place itself (1: all, half by chance)."""
        located, label, count = 0.0, 0.0, 12
        for n in range(count):
            generator = torch.Generator().manual_seed(10_000_000 + n)
            matched = self._matched(model, 10_000_000 + n, generator, 300)
            z1, z2 = (F.normalize(z[0], dim=1) for z in (matched.z1, matched.z2))
            found = (z1 @ z2.T).argmax(1)
            label += float((matched.labels == matched.labels[found]).float().mean()) / count
            located += located_share(matched.outputs, matched.first, matched.second) / count
        return {"score": located, "located": located, "label": label}

    def _made(self, number: int) -> torch.Tensor:
        """Label map `number`, half as wide again as a crop."""
        generator, engine = torch.Generator().manual_seed(number), self.config.engine
        i, j, k = (self.config.crop * 3 // 2,) * 3
        if isinstance(engine, ShapesConfig):
            return make_shapes(draw_shapes(engine, generator), (i, j, k), self.device)
        return make_ensemble(draw_ensemble(engine, generator, len(self.masks)), (i, j, k), self.masks, self.device)

    def _matched(self, model: nn.Module, number: int, generator: torch.Generator, count: int) -> Matched:
        """Features of the same places of map `number` in two views."""
        config, source = self.config, self._map(number)
        side, wide = (config.crop,) * 3, tuple(source.shape)
        placings = [draw_deform(config.placing, generator) for _ in range(2)]
        labels = warp_labels(source[None].expand(2, *wide), warp_index(placings, wide, side, self.device))
        images = self._seen(labels, generator).contiguous(memory_format=torch.channels_last_3d)
        levels = config.levels
        pyramid = model(images, levels)
        first_of_second = np.linalg.solve(*(placement(p, wide, side) for p in placings))
        flat = balanced_points(labels[1], count * 2, generator)
        second = torch.stack(torch.unravel_index(flat, side)).float()
        first = apply_matrix(first_of_second, second)
        seen = ((first >= 0) & (first <= config.crop - 1)).all(0).nonzero()[:count, 0]
        z1, z2 = (
            tuple(_read(f[n : n + 1], at[:, seen], max(level, 0)) for level, f in zip(levels, pyramid))
            for n, at in enumerate((first, second))
        )
        kept = labels[1].flatten()[flat[seen]].long()
        return Matched(z1, z2, first[:, seen].T, second[:, seen].T, kept, pyramid[0])

    def _seen(self, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Both views' labels (2, I, J, K), each in a contrast and by a scanner of its own: (2, 1, I, J, K)."""
        contrasts = [draw_contrast(self.config.contrast, self.looks, generator) for _ in range(2)]
        scanners = [draw_scanner(self.config.scanner, generator) for _ in range(2)]
        cut = [draw_artefacts(self.config.artefacts, generator) for _ in range(2)]
        image = scanned(textured(painted(labels, contrasts), scanners), contrasts)
        return apply_artefacts(acquired(image, scanners), cut)


def _read(features: torch.Tensor, index: torch.Tensor, level: int) -> torch.Tensor:
    """Features (N, C) of a level at full-resolution voxel indices (3, N); a level's voxels are blocks."""
    block = 2**level
    at = (index - (block - 1) / 2) / block
    return sample(features, at[None], padding="border")[0].T


def located_share(outputs: torch.Tensor, first: torch.Tensor, second: torch.Tensor, reach: int = 6) -> float:
    """Share of the surroundings of each place in the other view, up to `reach` voxels along each axis in steps of 2,
    whose features are less like the place's than those at the right place: 1 where it stands out, 1/2 by chance.
    outputs (2, C, I, J, K); first, second (N, 3) voxels of the same places. Equal ones count half."""
    steps = torch.arange(-reach, reach + 1, 2.0, device=outputs.device)
    moves = torch.cartesian_prod(steps, steps, steps)
    wanted = _read(outputs[1:], second.T, 0)
    around = (first[:, None] + moves).flatten(0, 1).T
    there = _read(outputs[:1], around, 0).view(len(first), len(moves), -1)
    mismatch = (there - wanted[:, None]).square().sum(2)
    still = (moves == 0).all(1)
    right, others = mismatch[:, still], mismatch[:, ~still]
    return float((others > right).float().mean() + (others == right).float().mean() / 2)


def balanced_points(labels: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` flat voxel indices of `labels` (I, J, K), drawn with weight 1 / sqrt(label size); background rarely."""
    flat = labels.flatten().long()
    sizes = torch.bincount(flat).clamp_min(1).float()
    weight = sizes.rsqrt()
    weight[0] *= 0.1
    candidates = torch.randint(0, len(flat), (count * 24,), generator=generator).to(flat.device)
    chosen = torch.multinomial(weight[flat[candidates]].cpu(), count, replacement=False, generator=generator)
    return candidates[chosen.to(candidates.device)]
