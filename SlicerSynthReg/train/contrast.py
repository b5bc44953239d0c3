"""Training the translation between native and contrast CT (MFM), and each method that the paper compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import nn

from SlicerSynthReg.evaluate.ct import SliceScores, slice_scores
from SlicerSynthReg.methods.mfm.hounsfield import changed, scaled
from SlicerSynthReg.methods.mfm.model import ContrastConfig, ContrastModel
from SlicerSynthReg.methods.mfm.slices import SliceNetwork
from SlicerSynthReg.methods.mfm.solution import Solution
from SlicerSynthReg.train.augment_slices import augmented, draw_slice_augment
from SlicerSynthReg.train.ct_pairs import AIR_HU, PairPool, SlicePair, draw_batch

DDPM_STEPS = 20
"""Steps of the deterministic sampling while a DDPM is validated in training."""


@dataclass(frozen=True)
class ContrastTaskConfig:
    """model: network and method. batch: slices a step. side: of their windows, pixels. augment: the paper's flips,
    turns and affine maps; random phantoms need none."""

    model: ContrastConfig = field(default_factory=ContrastConfig)
    batch: int = 4
    side: int = 192
    augment: bool = False


class ContrastTask:
    """A train.loop.Task. held_out: patients for validation, each translated whole."""

    def __init__(
        self, config: ContrastTaskConfig, pool: PairPool, held_out: Sequence[SlicePair], device: str = "cpu"
    ) -> None:
        self.config, self.pool, self.held_out, self.device = config, pool, held_out, device
        self.translator = ContrastModel(config.model).to(device, memory_format=torch.channels_last)
        self.model: nn.Module = self.translator

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        config = self.config
        batch = draw_batch(self.pool.at(step), config.batch, config.side, config.model.neighbours, generator)
        images = torch.stack([batch.native, batch.contrast])
        if config.augment:
            draws = [draw_slice_augment(generator) for _ in range(config.batch)]
            images = torch.stack(
                [torch.stack([augmented(x, one, AIR_HU) for x, one in zip(kind, draws)]) for kind in images]
            )
        native, contrast = scaled(images.to(self.device))
        return {"loss": self.translator.loss(native, contrast, generator)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """MAE in HU by direction, SSIM and the error from slice to slice; the score is minus the mean MAE."""
        found: dict[str, float] = {}
        translator = cast(ContrastModel, model)
        for to in translator.directions:
            scores = [asdict(translation_scores(translator, pair, to)) for pair in self.held_out]
            for name in ("mae_hu", "ssim", "through_hu"):
                found[f"{name}_to_{to}"] = sum(one[name] for one in scores) / len(scores)
        errors = [found[f"mae_hu_to_{to}"] for to in translator.directions]
        return {"score": -sum(errors) / len(errors), **found}


def translated_pair(
    model: ContrastModel, pair: SlicePair, to: str, solution: Solution | None = None, batch: int = 8
) -> tuple[torch.Tensor, int]:
    """(K, H, W) HU of kind `to` from the pair's other image, and the network's calls for a slice."""
    source = (pair.contrast if to == "native" else pair.native).float()
    solution = solution or (Solution("", DDPM_STEPS) if model.config.way == "ddpm" else Solution())
    f = SliceNetwork(model.net, model.config.neighbours, batch)
    x = scaled(source)
    return changed(source, x, model.translated(f, x, to, solution)), f.evaluations


def translation_scores(model: ContrastModel, pair: SlicePair, to: str, solution: Solution | None = None) -> SliceScores:
    truth = (pair.native if to == "native" else pair.contrast).float()
    return slice_scores(truth, translated_pair(model, pair, to, solution)[0])


def best_of(folder: Path, config: ContrastConfig) -> ContrastModel:
    """The best averaged weights of a training. ValueError where there are none, or they are another network's."""
    path = folder / "best.pt"
    if not path.exists():
        raise ValueError(f"Found no best.pt in {folder.name}, expected a training that was validated once at least.")
    model = ContrastModel(config)
    try:
        model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["model"])
    except RuntimeError as error:
        raise ValueError(
            f"Found weights of another network in {folder.name}, expected those that the options describe. Give the "
            "network, method and neighbours of the training."
        ) from error
    return model.eval().to(memory_format=torch.channels_last)
