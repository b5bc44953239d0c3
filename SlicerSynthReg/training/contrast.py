"""Training of native <-> arterial CT conversion: flow matching (MFM) and the methods that the paper compares it
with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import torch
from torch import nn

from SlicerSynthReg.contrast.config import SolverConfig
from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.contrast.slice_network import SliceNetwork, apply_change, normalise_hu
from SlicerSynthReg.metrics.ct_translation import SliceScores, slice_scores
from SlicerSynthReg.training.ct_pairs import (
    AIR_HU,
    PairPool,
    SlicePair,
    augment_slices,
    draw_batch,
    draw_slice_augmentation,
)

DDPM_STEPS = 20
"""Steps of the deterministic sampling when a DDPM is validated during training."""
SLICES_PER_PASS = 8
VALIDATION_SCORES = ("mae_hu", "ssim", "through_plane_hu")


@dataclass(frozen=True)
class ContrastTaskConfig:
    """model: network and method. batch_size: slices in a step. crop: pixels along a slice's side. augment: the paper's
    flips, rotations and affine maps; random phantoms need none."""

    model: ContrastConfig = field(default_factory=ContrastConfig)
    batch_size: int = 4
    crop: int = 192
    augment: bool = False


class ContrastTask:
    """Training task on slices of `pool`. validation: pairs of whole patients."""

    def __init__(
        self, config: ContrastTaskConfig, pool: PairPool, validation: Sequence[SlicePair], device: str = "cpu"
    ) -> None:
        self.config, self.pool, self.validation, self.device = config, pool, validation, device
        self.translator = ContrastModel(config.model).to(device, memory_format=torch.channels_last)
        self.model: nn.Module = self.translator

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        config = self.config
        batch = draw_batch(self.pool.at(step), config.batch_size, config.crop, config.model.neighbours, generator)
        images = torch.stack([batch.native, batch.contrast])
        if config.augment:
            draws = [draw_slice_augmentation(generator) for _ in range(config.batch_size)]
            images = torch.stack(
                [torch.stack([augment_slices(x, draw, AIR_HU) for x, draw in zip(phase, draws)]) for phase in images]
            )
        native, contrast = normalise_hu(images.to(self.device))
        return {"loss": self.translator.loss(native, contrast, generator)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return MAE in HU, SSIM and error of slice differences for each target phase; "score": minus the mean MAE."""
        scores: dict[str, float] = {}
        translator = cast(ContrastModel, model)
        for phase in translator.target_phases:
            each = [asdict(conversion_scores(translator, pair, phase)) for pair in self.validation]
            for name in VALIDATION_SCORES:
                scores[f"{name}_to_{phase}"] = sum(item[name] for item in each) / len(each)
        errors = [scores[f"mae_hu_to_{phase}"] for phase in translator.target_phases]
        return {"score": -sum(errors) / len(errors), **scores}


def convert_pair(
    model: ContrastModel, pair: SlicePair, target_phase: str, solver: SolverConfig | None = None
) -> tuple[torch.Tensor, int]:
    """Return (K, H, W) HU of the target phase from the pair's other image, and the network evaluations per slice."""
    source = (pair.contrast if target_phase == "native" else pair.native).float()
    solver = solver or (SolverConfig("", DDPM_STEPS) if model.config.method == "ddpm" else SolverConfig())
    f = SliceNetwork(model.net, model.config.neighbours, SLICES_PER_PASS)
    x = normalise_hu(source)
    return apply_change(source, x, model.convert(f, x, target_phase, solver)), f.evaluations


def conversion_scores(
    model: ContrastModel, pair: SlicePair, target_phase: str, solver: SolverConfig | None = None
) -> SliceScores:
    """Return the scores of a converted pair against its image of the target phase."""
    truth = (pair.native if target_phase == "native" else pair.contrast).float()
    return slice_scores(truth, convert_pair(model, pair, target_phase, solver)[0])
