"""Training SynthMorph: both variants, both networks, and the paper's comparison trainings, one configuration each."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.overlap import one_hot_mse, soft_dice_loss
from SlicerSynthReg.losses.similarity import local_ncc_loss, mean_squares, nmi_loss
from SlicerSynthReg.methods.synthmorph.model import SynthMorph, SynthMorphConfig
from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.space.differential import diffusion_energy
from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import sample_displaced
from SlicerSynthReg.space.transform import exponential
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig, Looks
from SlicerSynthReg.synth.deform import DeformConfig
from SlicerSynthReg.synth.pair import View, ViewConfig, draw_view, make_view
from SlicerSynthReg.synth.shapes import ShapesConfig, draw_shapes, make_shapes
from SlicerSynthReg.train.labelmaps import LabelMaps, around

LOSSES = ("dice", "mse", "ncc", "nmi", "images")


@dataclass(frozen=True)
class RegistrationTaskConfig:
    """What SynthMorph learns from, and by which loss.

    loss: "dice" (the paper), "mse" (its later one-hot form), or what images alone allow: "ncc", "nmi" (VoxelMorph's),
    "images" (mean squares of the two maps rendered in one contrast of their own: the random-look-up-table hybrid).
    network: "matching" or "unet" (the paper's). shape: voxels of a training grid at 2 mm. one_person: both views from
    one map (always so for random shapes). freeze: leave the features as they are.
    """

    loss: str = "dice"
    network: str = "matching"
    shape: tuple[int, int, int] = (80, 96, 80)
    one_person: bool = False
    freeze: bool = True
    weight_range: tuple[float, float] = (0.1, 10.0)
    unet: UNetConfig = field(default_factory=lambda: UNetConfig(2, 3, (64, 64, 64, 64, 64), finest=1, norm="none"))
    view: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            DeformConfig((8, 16, 32), 0.5, 5, 8.0, 6.0, 0.08, 0.04, (1.9, 2.1)),
            ContrastConfig(scan_like=0.5),
            ArtefactConfig(),
        )
    )


class ConcatenatingNet(nn.Module):
    """The paper's network: a U-Net sees moving and fixed image as two channels."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.net = UNet(config)
        head = self.net.head
        nn.init.normal_(head.weight, std=1e-5)
        nn.init.zeros_(head.bias)

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor, weight: float) -> torch.Tensor:
        return self.net(torch.cat([moving, fixed], 1))


class MatchingModel(nn.Module):
    """SynthMorph's matching form on image pairs; frozen features are computed without a graph."""

    def __init__(self, model: SynthMorph, freeze: bool) -> None:
        super().__init__()
        self.model, self.freeze = model, freeze
        if freeze:
            model.net.requires_grad_(False)
            if model.prototypes is not None:
                model.prototypes.requires_grad_(False)

    def train(self, mode: bool = True) -> MatchingModel:
        """Frozen features keep their running statistics."""
        super().train(mode)
        if self.freeze:
            self.model.net.eval()
        return self

    def forward(self, fixed: torch.Tensor, moving: torch.Tensor, weight: float) -> torch.Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            seen = [self.model.features(image).levels for image in (fixed, moving)]
        return self.model.velocity(seen[0], seen[1], weight)


class RegistrationTask:
    """maps=None trains on random shapes. The last `held_out` maps are for validation only."""

    def __init__(
        self,
        config: RegistrationTaskConfig,
        maps: LabelMaps | None,
        start: SynthMorph | None = None,
        held_out: int = 2,
        device: str = "cpu",
    ) -> None:
        if config.loss not in LOSSES:
            raise ValueError(f"Found loss {config.loss!r}, expected one of {LOSSES}.")
        self.config, self.device = config, device
        cropped = [around(m, [maps.values.index(v) for v in maps.anatomy]) for m in maps.maps] if maps else []
        self.maps, self.unseen = cropped[: len(cropped) - held_out], cropped[len(cropped) - held_out :]
        self.looks = maps.looks if maps else Looks.arbitrary(ShapesConfig().labels)
        self.scored = [maps.values.index(v) for v in maps.anatomy] if maps else list(range(1, len(self.looks.groups)))
        net: nn.Module = (
            ConcatenatingNet(config.unet)
            if config.network == "unet"
            else MatchingModel(start or SynthMorph(SynthMorphConfig()), config.freeze)
        )
        self.model = net.to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        fixed, moving = self._pair(self.maps, generator)
        weight = draw.log_uniform(generator, *self.config.weight_range)
        v = self.model(fixed.image, moving.image, weight)
        u = exponential(v, 5)
        unlike = self._unlike(fixed, moving, u, generator)
        smooth = diffusion_energy(u)
        return {"loss": unlike + weight * smooth, "unlike": unlike, "smooth": smooth}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean Dice of unseen pairs before and after, at weight 1."""
        before, after, count = 0.0, 0.0, 6
        for n in range(count):
            fixed, moving = self._pair(self.unseen or [], torch.Generator().manual_seed(10_000_000 + n))
            u = exponential(model(fixed.image, moving.image, 1.0), 5)
            a, b = (self._one_hot(view.labels) for view in (fixed, moving))
            before += (1 - float(soft_dice_loss(a, b))) / count
            after += (1 - float(soft_dice_loss(a, self._moved(b, u)))) / count
        return {"score": after, "before": before}

    def _pair(self, maps: list[torch.Tensor], generator: torch.Generator) -> tuple[View, View]:
        if maps:
            chosen = [maps[draw.integer(generator, 0, len(maps) - 1)] for _ in range(2)]
            if self.config.one_person:
                chosen[1] = chosen[0]
        else:
            wide = tuple(2 * n + 16 for n in self.config.shape)
            chosen = [make_shapes(draw_shapes(ShapesConfig(), generator), wide, self.device)] * 2
        fixed, moving = (
            make_view(m[None].to(self.device), [draw_view(self.config.view, self.looks, generator)], self.config.shape)
            for m in chosen
        )
        return fixed, moving

    def _unlike(self, fixed: View, moving: View, u: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if self.config.loss in ("dice", "mse"):
            a, b = self._one_hot(fixed.labels), self._moved(self._one_hot(moving.labels), u)
            return soft_dice_loss(a, b) if self.config.loss == "dice" else one_hot_mse(a, b)
        if self.config.loss == "images":
            table = torch.rand(len(self.looks.groups), generator=generator).to(u.device)
            a, b = (F.avg_pool3d(table[view.labels.long()][:, None], 2) for view in (fixed, moving))
            return mean_squares(a, self._moved(b, u))
        a, b = (F.avg_pool3d(view.image, 2) for view in (fixed, moving))
        return (local_ncc_loss if self.config.loss == "ncc" else nmi_loss)(a, self._moved(b, u))

    def _one_hot(self, labels: torch.Tensor) -> torch.Tensor:
        """(1, L, I/2, J/2, K/2): share of each scored label in blocks of 2^3 voxels."""
        planes = torch.stack([(labels == index) for index in self.scored], 1).float()
        return F.avg_pool3d(planes, 2)

    @staticmethod
    def _moved(image: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return sample_displaced(image, u, index_lattice(tuple(u.shape[2:]), u.device))
