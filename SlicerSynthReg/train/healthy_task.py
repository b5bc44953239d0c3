"""What UNA learns, step by step: the healthy T1 behind a synthetic sick head (UNA, section 4), and its ablations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.losses.overlap import soft_dice_loss
from SlicerSynthReg.losses.reconstruction import reconstruction_loss, self_contrast_loss
from SlicerSynthReg.methods.una.model import UNA, Reconstruction, UNAConfig
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.healthy import (
    HealthyConfig,
    HealthyDraw,
    HealthySample,
    Labelling,
    draw_healthy,
    make_healthy,
)
from SlicerSynthReg.synth.healthy_scan import ScannedHead, make_from_scan
from SlicerSynthReg.synth.mirror import Mirror

ABLATIONS = ("none", "no-fluid", "shapes", "single", "no-contrast")
"""The full model; (a) no synthetic anomalies; (b) anomalies from noise alone; (c) without the counterpart side;
(d) without the contrastive loss."""
JUDGED = ("T1", "T2", "FLAIR", "CT")


@dataclass(frozen=True)
class HealthyTaskConfig:
    """crop: voxels. scans: share of the steps that show a real scan, if there are any. elsewhere: weight of voxels
    outside the brain. contrast, anomaly, error: weights of the loss's further terms. (The paper weighs the contrastive
    term with 2, beside a reconstruction term of another scale.)"""

    net: UNAConfig = field(default_factory=UNAConfig)
    samples: HealthyConfig = field(default_factory=HealthyConfig)
    crop: tuple[int, int, int] = (72, 64, 56)
    scans: float = 0.3
    elsewhere: float = 0.2
    gradient: float = 0.5
    pathology: float = 1.0
    contrast: float = 0.05
    anomaly: float = 0.1
    error: float = 0.01

    def ablated(self, name: str) -> HealthyTaskConfig:
        """This training with one part left out; name: of ABLATIONS. Errors: ValueError for another."""
        if name not in ABLATIONS:
            raise ValueError(f"Found ablation {name!r}, expected one of {', '.join(ABLATIONS)}.")
        if name == "no-fluid":
            return replace(self, samples=replace(self.samples, sick=0.0))
        if name == "shapes":
            return replace(self, samples=replace(self.samples, anomaly=replace(self.samples.anomaly, masks=0.0)))
        if name == "single":
            return replace(self, net=replace(self.net, net=replace(self.net.net, inputs=1), paired=False))
        return replace(self, contrast=0.0) if name == "no-contrast" else self


@dataclass(frozen=True, eq=False)
class Person:
    """labels (I, J, K) uint8 indices in RAS, 1 mm, and where each place has its counterpart."""

    labels: torch.Tensor
    mirror: Mirror


@dataclass(frozen=True, eq=False)
class People:
    """Whom to train on and whom to validate on, what their labels mean, and the lesion masks for either, on voxels of
    the anomaly's grid. scans: real ones to train on beside the label maps."""

    known: tuple[Person, ...]
    unseen: tuple[Person, ...]
    labelling: Labelling
    masks: tuple[torch.Tensor, ...] = ()
    unseen_masks: tuple[torch.Tensor, ...] = ()
    scans: tuple[ScannedHead, ...] = ()


class HealthyTask:
    """One sick head a step."""

    def __init__(self, config: HealthyTaskConfig, people: People, device: str = "cpu") -> None:
        self.config, self.people, self.device = config, people, device
        self.model = UNA(config.net).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        people, config = self.people, self.config
        if people.scans and draw.chance(generator, config.scans):
            scan = people.scans[draw.integer(generator, 0, len(people.scans) - 1)].to(self.device)
            drawn = draw_healthy(scan.wanted(config.samples), people.labelling, generator, "T1")
            sample = make_from_scan(scan, drawn, config.samples, config.crop, people.masks)
            return self._terms(self.model(sample.image, sample.mirrored), sample)
        person = people.known[draw.integer(generator, 0, len(people.known) - 1)]
        record = draw_healthy(config.samples, people.labelling, generator)
        sample = self._sample(person, record, people.masks)
        return self._terms(self.model(sample.image, sample.mirrored), sample)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """PSNR (scale 0..1) of unseen people with unseen lesions: in the anomaly and in the rest of the brain, mean and
        by modality; and the anomaly's average precision."""
        scores: dict[str, list[float]] = {}
        config = replace(self.config.samples, sick=1.0, two=0.0)
        config = replace(config, anomaly=replace(config.anomaly, masks=1.0))
        for number, modality in enumerate(JUDGED * 2):
            generator = torch.Generator().manual_seed(10_000_000 + number)
            person = self.people.unseen[number % len(self.people.unseen)]
            record = draw_healthy(config, self.people.labelling, generator, modality)
            sample = self._sample(person, record, self.people.unseen_masks)
            found = model(sample.image, sample.mirrored)
            sick = (sample.anomaly > 0.5) & (sample.seen > 0)
            well = (sample.brain > 0.5) & (sample.anomaly < 0.1) & (sample.seen > 0)
            for name, where in (("sick", sick), ("well", well)):
                score = psnr(found.t1[where], sample.target[where])
                scores.setdefault(name, []).append(score)
                scores.setdefault(f"{name}_{modality}", []).append(score)
            scores.setdefault("found", []).append(average_precision(found.anomaly_logit, sample))
        means = {name: sum(values) / len(values) for name, values in scores.items()}
        return {"score": (means["sick"] + means["well"]) / 2, **means}

    def _sample(self, person: Person, record: HealthyDraw, masks: tuple[torch.Tensor, ...]) -> HealthySample:
        return make_healthy(
            person.labels.to(self.device),
            person.mirror,
            record,
            self.people.labelling,
            self.config.samples,
            self.config.crop,
            masks,
        )

    def _terms(self, found: Reconstruction, sample: HealthySample) -> dict[str, torch.Tensor]:
        config, p = self.config, sample.anomaly
        where = sample.seen * (config.elsewhere + (1 - config.elsewhere) * (sample.brain > 0).float())
        terms = {
            "reconstruction": reconstruction_loss(
                found.t1, sample.target, p, sample.real, where, config.gradient, config.pathology
            ),
            "contrast": self_contrast_loss(
                found.t1, sample.target_mirrored, sample.diseased, p, sample.anomaly_mirrored
            ),
            "anomaly": anomaly_loss(found.anomaly_logit, p, where),
            "error": error_loss(found, sample.target, where * (1 - p) if sample.real else where),
        }
        loss = terms["reconstruction"] + config.contrast * terms["contrast"]
        return {"loss": loss + config.anomaly * terms["anomaly"] + config.error * terms["error"], **terms}


def anomaly_loss(logit: torch.Tensor, p: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with P, and 1 - soft Dice where there is an anomaly."""
    entropy = (F.binary_cross_entropy_with_logits(logit, p, reduction="none") * where).sum() / where.sum()
    if float(p.sum()) < 20:
        return entropy
    return entropy + soft_dice_loss(torch.sigmoid(logit) * where, p * where)


def error_loss(found: Reconstruction, target: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of a Laplace law of mean absolute error exp(log_error); moves that map alone."""
    miss = (found.t1.detach() - target).abs()
    log_error = found.log_error.clamp(-7, 1)
    return ((miss * torch.exp(-log_error) + log_error) * where).sum() / where.sum()


def psnr(found: torch.Tensor, target: torch.Tensor) -> float:
    """Decibel on the scale 0..1; 60 at most, so that a mean stays finite."""
    if not found.numel():
        return 0.0
    return -10 * math.log10(max(float((found - target).square().mean()), 1e-6))


def average_precision(logit: torch.Tensor, sample: HealthySample) -> float:
    """Area under precision over recall of the anomaly map within the brain that was scanned."""
    where = (sample.brain > 0.5) & (sample.seen > 0)
    order = logit[where].argsort(descending=True)
    truth = (sample.anomaly[where] > 0.5)[order].double()
    precision = truth.cumsum(0) / torch.arange(1, len(truth) + 1, device=truth.device)
    return float((precision * truth).sum() / truth.sum().clamp_min(1))
