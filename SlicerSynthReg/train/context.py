"""Training the network that does what its examples show, on questions made from label maps (and scans, if given)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import nn

from SlicerSynthReg.losses.examples import question_loss
from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.question import QuestionConfig, Source
from SlicerSynthReg.synth.tasks import TASKS


@dataclass(frozen=True)
class ContextTaskConfig:
    """questions: a step. examples: fewest and most of a question; all questions of a step have the same number.
    judged_with: examples in validation; judged: questions of each task there. scanned: share of questions from scans,
    where there are any."""

    net: NeuralizerConfig = field(default_factory=lambda: NeuralizerConfig(width=32))
    question: QuestionConfig = field(default_factory=QuestionConfig)
    questions: int = 4
    examples: tuple[int, int] = (1, 6)
    judged_with: int = 4
    judged: int = 6
    scanned: float = 0.3


class ContextTask:
    """source: of the training questions; unseen: of people who are for validation only; scans: further training
    questions, from real images."""

    def __init__(
        self,
        config: ContextTaskConfig,
        source: Source,
        unseen: Source,
        scans: Source | None = None,
        device: str = "cpu",
    ) -> None:
        self.config, self.source, self.unseen, self.scans, self.device = config, source, unseen, scans, device
        self.model = Neuralizer(config.net).to(device).to(memory_format=torch.channels_last)
        self._plain = dataclasses.replace(config.question, augmented=False, without=())

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        people = 1 + draw.integer(generator, *self.config.examples)
        questions = []
        for _ in range(self.config.questions):
            scanned = self.scans is not None and draw.chance(generator, self.config.scanned)
            source = self.scans if self.scans is not None and scanned else self.source
            questions.append(source.make(source.draw(self.config.question, people, generator)))
        x = torch.stack([one.x[0] for one in questions]).to(self.device)
        context = torch.cat([one.context for one in questions]).to(self.device)
        y = torch.stack([one.y[0] for one in questions]).to(self.device)
        mask = torch.tensor([one.mask for one in questions], device=self.device)
        each = question_loss(self.model(x, context), y, mask)
        return {"loss": each.mean(), "masks": _mean(each[mask]), "images": _mean(each[~mask])}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """For each task Dice, or PSNR in dB, over questions about unseen people; "score": their mean, PSNR over 40 dB.

        Tasks that the training leaves out are judged too, and do not count in the score.
        """
        scores, total = {}, []
        for number, (name, kind) in enumerate(TASKS.items()):
            found = []
            for n in range(self.config.judged):
                generator = torch.Generator().manual_seed(10_000_000 + 1000 * number + n)
                question = self.unseen.make(self.unseen.draw(self._plain, 1 + self.config.judged_with, generator, name))
                answer = model(question.x[:1].to(self.device), question.context.to(self.device)).cpu()
                found.append(score(answer[0], question.y[0], kind.mask))
            mean = sum(found) / len(found)
            scores[name.replace(" ", "_")] = mean
            if name not in self.config.question.without:
                total.append(mean if kind.mask else mean / 40)
        return {"score": sum(total) / len(total), **scores}


def score(answer: torch.Tensor, truth: torch.Tensor, mask: bool) -> float:
    """Dice of the answer's mask (above one half), or PSNR in dB for a peak of 1, no more than 60."""
    if mask:
        found = answer > 0.5
        both, sizes = float((found * truth).sum()), float(found.sum() + truth.sum())
        return 2 * both / sizes if sizes else 1.0
    error = float(((answer.clamp(0, 1) - truth) ** 2).mean())
    return float(-10 * torch.log10(torch.tensor(max(error, 1e-6))))


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.mean() if len(values) else values.sum()
