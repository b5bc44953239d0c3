"""The contrast conversion network with its training method: flow matching, or a method it is compared with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from SlicerSynthReg.contrast.baselines import T, denoise, diffusion_loss, regress, regression_loss
from SlicerSynthReg.contrast.config import METHODS, TIMES, SolverConfig
from SlicerSynthReg.contrast.flow import flow_loss, integrate_flow
from SlicerSynthReg.contrast.slice_network import SliceNetwork
from SlicerSynthReg.networks.slice_networks import SliceNetConfig, build_network, from_card, to_card
from SlicerSynthReg.networks.time_resnet import SMALL
from SlicerSynthReg.weights.registry import Card, load_weights

NOISE_SEED = 0


@dataclass(frozen=True)
class ContrastConfig:
    """method: one of METHODS. net: network architecture; its numbers of inputs and outputs are set by the model.
    neighbours: adjacent slices on either side. target_phase: "native" or "arterial", the output of regression and
    diffusion; flow matching yields both. Raises ValueError."""

    method: str = "flow"
    net: SliceNetConfig = SMALL
    neighbours: int = 1
    target_phase: str = "native"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"Found the method {self.method!r}, expected one of {', '.join(METHODS)}.")
        if self.target_phase not in TIMES:
            raise ValueError(f"Found the target phase {self.target_phase!r}, expected one of {', '.join(TIMES)}.")

    def to_card(self) -> dict[str, Any]:
        """Return the architecture entry of a model card."""
        return {**dataclasses.asdict(self), "net": to_card(self.net)}

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> ContrastConfig:
        """Return the configuration in the architecture entry of a model card."""
        return cls(**{**values, "net": from_card(values["net"])})


class ContrastModel(nn.Module):
    """The network, its loss and its inference, on normalised slices."""

    def __init__(self, config: ContrastConfig) -> None:
        super().__init__()
        self.config = config
        inputs = 2 * config.neighbours + 1 + int(config.method == "ddpm")
        self.net = build_network(dataclasses.replace(config.net, inputs=inputs, outputs=1))

    @classmethod
    def load(cls, card: Card, folder: Path | None = None) -> ContrastModel:
        """Return the model of a card, its weights checked against the card's hash. Raises WeightsError."""
        model = cls(ContrastConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card, folder))
        return model.eval().to(memory_format=torch.channels_last)

    @property
    def target_phases(self) -> tuple[str, ...]:
        """Phases that the model can synthesise."""
        return tuple(TIMES) if self.config.method == "flow" else (self.config.target_phase,)

    def loss(self, native: torch.Tensor, contrast: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the training loss of native and contrast-enhanced slices, (B, 2 neighbours + 1, H, W), normalised.

        generator: CPU generator of times and noise.
        """
        count, method = len(native), self.config.method
        if method == "flow":
            return flow_loss(self.net, native, contrast, torch.rand(count, generator=generator).to(native.device))
        to_native = self.config.target_phase == "native"
        source, target = (contrast, native) if to_native else (native, contrast)
        if method == "regression":
            return regression_loss(self.net, source, target, self.config.target_phase)
        t = torch.randint(1, T + 1, (count,), generator=generator).to(native.device)
        noise = torch.randn((count, 1, *native.shape[2:]), generator=generator).to(native.device)
        return diffusion_loss(self.net, source, target, t, noise)

    def convert(self, f: SliceNetwork, x: torch.Tensor, target_phase: str, solver: SolverConfig) -> torch.Tensor:
        """Return slices of `target_phase` for normalised slices x (K, H, W) of the other phase; f: `net` on a volume.

        Raises ValueError for a phase not in `target_phases`.
        """
        if target_phase not in self.target_phases:
            raise ValueError(
                f"Found the target phase {target_phase}, expected {' or '.join(self.target_phases)} for this model."
            )
        if self.config.method == "flow":
            return integrate_flow(f, x, target_phase, solver)
        if self.config.method == "regression":
            return regress(f, x, target_phase)
        noise = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(NOISE_SEED)).to(x.device)
        return denoise(f, x, noise, solver.steps)
