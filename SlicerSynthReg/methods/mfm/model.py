"""A network with the way it was trained: flow matching, or one of the methods that the paper compares it with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from SlicerSynthReg.methods.mfm.diffusion import T, denoised, diffusion_loss
from SlicerSynthReg.methods.mfm.flow import TIMES, flow_loss, follow
from SlicerSynthReg.methods.mfm.regression import regress, regression_loss
from SlicerSynthReg.methods.mfm.slices import SliceNetwork
from SlicerSynthReg.methods.mfm.solution import Solution
from SlicerSynthReg.nets.slicewise import SliceNetConfig, built, from_card, to_card
from SlicerSynthReg.nets.time_resnet import SMALL
from SlicerSynthReg.weights.registry import Card, load_weights

WAYS = ("flow", "regression", "ddpm")
NOISE_SEED = 0


@dataclass(frozen=True)
class ContrastConfig:
    """way: one of WAYS. net: of the network, whose inputs and outputs are set here. neighbours: slices seen on either
    side. to: the kind ("native" or "contrast") that regression and DDPM are trained for; flow matching gives both."""

    way: str = "flow"
    net: SliceNetConfig = SMALL
    neighbours: int = 1
    to: str = "native"

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise ValueError(f"Found the method {self.way!r}, expected one of {', '.join(WAYS)}.")
        if self.to not in TIMES:
            raise ValueError(f"Found the direction {self.to!r}, expected one of {', '.join(TIMES)}.")

    def to_card(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "net": to_card(self.net)}

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> ContrastConfig:
        return cls(**{**values, "net": from_card(values["net"])})


class ContrastModel(nn.Module):
    """The network, its loss and its use, on scaled slices."""

    def __init__(self, config: ContrastConfig) -> None:
        super().__init__()
        self.config = config
        inputs = 2 * config.neighbours + 1 + int(config.way == "ddpm")
        self.net = built(dataclasses.replace(config.net, inputs=inputs, outputs=1))

    @classmethod
    def load(cls, card: Card, folder: Path | None = None) -> ContrastModel:
        """The model of a card, its weights checked against the card's hash."""
        model = cls(ContrastConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card, folder))
        return model.eval().to(memory_format=torch.channels_last)

    @property
    def directions(self) -> tuple[str, ...]:
        return tuple(TIMES) if self.config.way == "flow" else (self.config.to,)

    def loss(self, native: torch.Tensor, contrast: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """native, contrast: (B, 2 neighbours + 1, H, W), scaled; what the method draws comes from `generator`."""
        count, way = len(native), self.config.way
        if way == "flow":
            return flow_loss(self.net, native, contrast, torch.rand(count, generator=generator).to(native.device))
        source, target = (contrast, native) if self.config.to == "native" else (native, contrast)
        if way == "regression":
            return regression_loss(self.net, source, target, self.config.to)
        t = torch.randint(1, T + 1, (count,), generator=generator).to(native.device)
        noise = torch.randn((count, 1, *native.shape[2:]), generator=generator).to(native.device)
        return diffusion_loss(self.net, source, target, t, noise)

    def translated(self, f: SliceNetwork, x: torch.Tensor, to: str, solution: Solution) -> torch.Tensor:
        """Scaled slices (K, H, W) of the other kind -> those of kind `to`; f: this model's network on slices."""
        if to not in self.directions:
            raise ValueError(
                f"Found the direction {to!r}, expected {self.directions[0]!r}, which the model was made for."
            )
        if self.config.way == "flow":
            return follow(f, x, to, solution.solver, solution.steps)
        if self.config.way == "regression":
            return regress(f, x, to)
        noise = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(NOISE_SEED)).to(x.device)
        return denoised(f, x, noise, solution.steps)
