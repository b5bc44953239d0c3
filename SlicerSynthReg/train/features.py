"""Training the contrast-invariant feature network that SynthMorph's matching form and instance refinement stand on.

One label map, one geometry, two contrasts: the features of a place must be the same in both, unlike those of other
places, and tell the labels apart (dense contrast after anatomix; label prototypes where labels mean something).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.contrast import same_label, same_place
from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig
from SlicerSynthReg.synth.deform import DeformConfig
from SlicerSynthReg.synth.pair import View, ViewConfig, ViewDraw, draw_view, make_view
from SlicerSynthReg.synth.shapes import ShapesConfig, draw_shapes, make_shapes
from SlicerSynthReg.train.labelmaps import LabelMaps


@dataclass(frozen=True)
class FeatureTaskConfig:
    """crop: voxels a side. points: places compared a step. near: voxels within which places are not told apart."""

    net: UNetConfig = field(default_factory=UNetConfig)
    crop: int = 64
    points: int = 768
    near: float = 3.0
    temperature: float = 0.1
    view: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            DeformConfig((8, 16, 32), 1.5, 5, 45.0, 45.0, 0.15, 0.1, (1.5, 2.2)),
            ContrastConfig(),
            ArtefactConfig(),
        )
    )


class FeatureModel(nn.Module):
    """The network and, for maps whose labels mean something, one prototype a label."""

    def __init__(self, config: UNetConfig, labels: int) -> None:
        super().__init__()
        self.net = UNet(config)
        self.prototypes = nn.Linear(config.outputs, labels, bias=False) if labels else None


class FeatureTask:
    """maps=None trains on random shapes; the last `held_out` maps are for validation only."""

    def __init__(self, config: FeatureTaskConfig, maps: LabelMaps | None, held_out: int = 2, device: str = "cpu") -> None:
        self.config, self.device = config, device
        labels = len(maps.values) if maps else 0
        self.maps = maps.maps[: len(maps.maps) - held_out] if maps else ()
        self.unseen = maps.maps[len(maps.maps) - held_out :] if maps else ()
        self.label_count = labels or ShapesConfig().labels
        self.model = FeatureModel(config.net, labels).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        one, two = self._views(self.maps, generator)
        images = torch.cat([one.image, two.image]).contiguous(memory_format=torch.channels_last_3d)
        features = F.normalize(self.model.net(images), dim=1)
        flat = balanced_points(one.labels[0], self.config.points, generator)
        z1, z2 = (f.flatten(1)[:, flat].T for f in features)
        shape = one.labels.shape[1:]
        places = torch.stack(torch.unravel_index(flat, shape), 1).float()
        t = self.config.temperature
        place = same_place(z1, z2, places, self.config.near, t)
        chosen = one.labels[0].flatten()[flat].long()
        if self.model.prototypes is None:
            label = same_label(z1, z2, chosen, t)
        else:
            prototypes = F.normalize(self.model.prototypes.weight, dim=1)
            label = F.cross_entropy(torch.cat([z1, z2]) @ prototypes.T / t, torch.cat([chosen, chosen]))
        return {"loss": place + label, "place": place, "label": label}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Share of places that find themselves within 3 voxels in the other contrast, and of places whose label is right."""
        hits, right, count = 0.0, 0.0, 16
        for n in range(count):
            generator = torch.Generator().manual_seed(10_000_000 + n)
            one, two = self._views(self.unseen, generator)
            features = F.normalize(model.net(torch.cat([one.image, two.image])), dim=1)  # type: ignore[operator]
            flat = balanced_points(one.labels[0], 1000, generator)
            z1, z2 = (f.flatten(1)[:, flat].T for f in features)
            places = torch.stack(torch.unravel_index(flat, one.labels.shape[1:]), 1).float()
            found = (z1 @ z2.T).argmax(1)
            hits += float(((places - places[found]).norm(dim=1) <= 3).float().mean()) / count
            chosen = one.labels[0].flatten()[flat]
            right += float((chosen == chosen[found]).float().mean()) / count
        return {"score": hits + right, "place": hits, "label": right}

    def _views(self, maps: tuple[torch.Tensor, ...], generator: torch.Generator) -> tuple[View, View]:
        """Two contrasts of one place in one geometry."""
        side = (self.config.crop,) * 3
        first = draw_view(self.config.view, self.label_count, generator)
        second = draw_view(self.config.view, self.label_count, generator)
        second = ViewDraw(first.deform, second.contrast, second.artefacts)
        if maps:
            source = maps[draw.integer(generator, 0, len(maps) - 1)].to(self.device)
        else:
            source = make_shapes(draw_shapes(ShapesConfig(), generator), tuple(2 * n for n in side), self.device)
        return make_view(source[None], [first], side), make_view(source[None], [second], side)


def balanced_points(labels: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` flat voxel indices of `labels` (I, J, K), drawn with weight 1 / sqrt(label size); background rarely."""
    flat = labels.flatten().long()
    sizes = torch.bincount(flat).clamp_min(1).float()
    weight = sizes.rsqrt()
    weight[0] *= 0.1
    candidates = torch.randint(0, len(flat), (count * 24,), generator=generator).to(flat.device)
    chosen = torch.multinomial(weight[flat[candidates]].cpu(), count, replacement=False, generator=generator)
    return candidates[chosen.to(candidates.device)]
