"""Training of Neuralizer on episodes made from label maps, and from scans if there are any."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import nn

from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig
from SlicerSynthReg.losses.in_context import episode_loss
from SlicerSynthReg.metrics.intensity import psnr
from SlicerSynthReg.metrics.overlap import dice
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.episode import EpisodeConfig, EpisodeSource
from SlicerSynthReg.synthesis.in_context_tasks import TASKS

VALIDATION_SEED = 10_000_000


@dataclass(frozen=True)
class InContextTaskConfig:
    """episodes: per step. examples: range of the support size, common to the episodes of a step. validation_examples:
    support size in validation; validation_episodes: per task. scanned: share of the training episodes from scans."""

    model: NeuralizerConfig = field(default_factory=lambda: NeuralizerConfig(width=32))
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    episodes: int = 4
    examples: tuple[int, int] = (1, 6)
    validation_examples: int = 4
    validation_episodes: int = 6
    scanned: float = 0.3


class InContextTask:
    """source: of the training episodes; validation: of the validation episodes; scans: further training episodes."""

    def __init__(
        self,
        config: InContextTaskConfig,
        source: EpisodeSource,
        validation: EpisodeSource,
        scans: EpisodeSource | None = None,
        device: str = "cpu",
    ) -> None:
        self.config, self.source, self.validation, self.scans, self.device = config, source, validation, scans, device
        self.model = Neuralizer(config.model).to(device).to(memory_format=torch.channels_last)
        self._plain = dataclasses.replace(config.episode, augment=False, excluded_tasks=())

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        subjects = 1 + draw.integer(generator, *self.config.examples)
        episodes = []
        for _ in range(self.config.episodes):
            scanned = self.scans is not None and draw.chance(generator, self.config.scanned)
            source = self.scans if self.scans is not None and scanned else self.source
            episodes.append(source.make(source.draw(self.config.episode, subjects, generator)))
        x = torch.stack([episode.x[0] for episode in episodes]).to(self.device)
        support = torch.cat([episode.support for episode in episodes]).to(self.device)
        y = torch.stack([episode.y[0] for episode in episodes]).to(self.device)
        mask = torch.tensor([episode.mask for episode in episodes], device=self.device)
        losses = episode_loss(self.model(x, support), y, mask)
        return {"loss": losses.mean(), "masks": _mean(losses[mask]), "images": _mean(losses[~mask])}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return Dice or PSNR (dB) of each task on held-out subjects, and "score", their mean with PSNR over 40 dB.

        Excluded tasks are measured too, and do not count in the score.
        """
        scores, counted = {}, []
        for number, (name, task) in enumerate(TASKS.items()):
            values = []
            for n in range(self.config.validation_episodes):
                generator = torch.Generator().manual_seed(VALIDATION_SEED + 1000 * number + n)
                subjects = 1 + self.config.validation_examples
                episode = self.validation.make(self.validation.draw(self._plain, subjects, generator, name))
                prediction = model(episode.x[:1].to(self.device), episode.support.to(self.device)).cpu()
                values.append(score(prediction[0], episode.y[0], task.mask))
            mean = sum(values) / len(values)
            scores[name.replace(" ", "_")] = mean
            if name not in self.config.episode.excluded_tasks:
                counted.append(mean if task.mask else mean / 40)
        return {"score": sum(counted) / len(counted), **scores}


def score(prediction: torch.Tensor, truth: torch.Tensor, mask: bool) -> float:
    """Return the Dice of the predicted mask (above 0.5), or the PSNR in dB for a peak of 1, at most 60."""
    if mask:
        return dice((prediction > 0.5).float(), truth)
    return psnr(float(((prediction.clamp(0, 1) - truth) ** 2).mean()), min_mse=1e-6)


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.mean() if len(values) else values.sum()
