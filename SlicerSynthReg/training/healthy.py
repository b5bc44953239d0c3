"""Training of UNA: the healthy T1 behind a synthetic scan with lesions (UNA, section 4), and its ablations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.healthy.una import UNA, UNAConfig, UNAOutput
from SlicerSynthReg.losses.dice import soft_dice_loss
from SlicerSynthReg.losses.reconstruction import pathology_weights, reconstruction_loss, self_contrast_loss
from SlicerSynthReg.metrics.intensity import psnr
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.lesion_head import (
    LabelledSubject,
    LabelProperties,
    UNASample,
    UNASampleConfig,
    draw_una_sample,
    make_una_sample,
)
from SlicerSynthReg.synthesis.lesion_scan import T1Head, make_una_sample_from_t1

ABLATIONS = ("none", "no-lesions", "noise-lesions", "single-sided", "no-contrast")
"""The full model; (a) without synthetic lesions; (b) lesion shapes from noise alone; (c) without the contralateral
image; (d) without the contrastive loss."""
VALIDATION_MODALITIES = ("T1", "T2", "FLAIR", "CT")
VALIDATION_SEED = 10_000_000
MIN_MSE = 1e-6
"""Mean squared error below which PSNR is 60 dB, so that a mean stays finite."""
MIN_LESION_VOXELS = 20


@dataclass(frozen=True)
class HealthyLossConfig:
    """Weights of the loss's terms. outside_brain: of voxels outside the brain. gradient, pathology: of equation 7.
    contrast: of equation 8 (the paper: 2, beside a reconstruction term of another scale). anomaly: of the anomaly map.
    error: of the error map."""

    outside_brain: float = 0.2
    gradient: float = 0.5
    pathology: float = 1.0
    contrast: float = 0.05
    anomaly: float = 0.1
    error: float = 0.01


@dataclass(frozen=True)
class HealthyTaskConfig:
    """crop: voxels. scan_probability: fraction of the steps on a real scan, if there are any."""

    net: UNAConfig = field(default_factory=UNAConfig)
    samples: UNASampleConfig = field(default_factory=UNASampleConfig)
    losses: HealthyLossConfig = field(default_factory=HealthyLossConfig)
    crop: tuple[int, int, int] = (72, 64, 56)
    scan_probability: float = 0.3

    def ablated(self, name: str) -> HealthyTaskConfig:
        """Return the configuration without one part. name: of ABLATIONS. Raises ValueError for another name."""
        if name not in ABLATIONS:
            raise ValueError(f"Found ablation {name!r}, expected one of {', '.join(ABLATIONS)}.")
        samples = self.samples
        if name == "no-lesions":
            return replace(self, samples=replace(samples, lesion_probability=0.0))
        if name == "noise-lesions":
            return replace(self, samples=replace(samples, anomaly=replace(samples.anomaly, mask_probability=0.0)))
        if name == "single-sided":
            return replace(self, net=replace(self.net, net=replace(self.net.net, inputs=1), paired=False))
        return replace(self, losses=replace(self.losses, contrast=0.0)) if name == "no-contrast" else self


@dataclass(frozen=True, eq=False)
class HealthyTrainingData:
    """Subjects and lesion masks to train on and to validate on; lesion masks are on voxels of the anomaly's grid.
    labelling: meaning of the label indices. scans: real T1 scans to train on beside the label maps."""

    training: tuple[LabelledSubject, ...]
    validation: tuple[LabelledSubject, ...]
    labelling: LabelProperties
    training_masks: tuple[torch.Tensor, ...] = ()
    validation_masks: tuple[torch.Tensor, ...] = ()
    scans: tuple[T1Head, ...] = ()


class HealthyTask:
    """Training task with one sample a step."""

    def __init__(self, config: HealthyTaskConfig, data: HealthyTrainingData, device: str = "cpu") -> None:
        self.config, self.data, self.device = config, data, device
        self.model = UNA(config.net).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        sample = self._training_sample(torch.Generator().manual_seed(step))
        return self.terms(self.model(sample.image, sample.mirrored), sample)

    def _training_sample(self, generator: torch.Generator) -> UNASample:
        """Return a sample of a real scan or of a label map."""
        data, config = self.data, self.config
        if data.scans and draw.chance(generator, config.scan_probability):
            scan = data.scans[draw.integer(generator, 0, len(data.scans) - 1)].to(self.device)
            record = draw_una_sample(scan.sample_config(config.samples), data.labelling, generator, "T1")
            return make_una_sample_from_t1(scan, record, config.samples, config.crop, data.training_masks)
        subject = data.training[draw.integer(generator, 0, len(data.training) - 1)].to(self.device)
        record = draw_una_sample(config.samples, data.labelling, generator)
        return make_una_sample(subject, record, data.labelling, config.samples, config.crop, data.training_masks)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return scores on validation subjects with validation lesions: PSNR in dB (scale 0..1) within the lesion and
        in the normal brain, mean and by modality, and the average precision of the anomaly map."""
        scores: dict[str, list[float]] = {}
        data, config = self.data, self.config
        samples = replace(config.samples, lesion_probability=1.0, second_lesion_probability=0.0)
        samples = replace(samples, anomaly=replace(samples.anomaly, mask_probability=1.0))
        for number, modality in enumerate(VALIDATION_MODALITIES * 2):
            generator = torch.Generator().manual_seed(VALIDATION_SEED + number)
            subject = data.validation[number % len(data.validation)].to(self.device)
            record = draw_una_sample(samples, data.labelling, generator, modality)
            sample = make_una_sample(
                subject, record, data.labelling, config.samples, config.crop, data.validation_masks
            )
            output = model(sample.image, sample.mirrored)
            visible = sample.field_of_view > 0
            lesion = (sample.anomaly > 0.5) & visible
            normal = (sample.brain > 0.5) & (sample.anomaly < 0.1) & visible
            for name, region in (("lesion", lesion), ("normal", normal)):
                score = masked_psnr(output.t1[region], sample.target[region])
                scores.setdefault(name, []).append(score)
                scores.setdefault(f"{name}_{modality}", []).append(score)
            scores.setdefault("average_precision", []).append(average_precision(output.anomaly_logit, sample))
        means = {name: sum(values) / len(values) for name, values in scores.items()}
        return {"score": (means["lesion"] + means["normal"]) / 2, **means}

    def terms(self, output: UNAOutput, sample: UNASample) -> dict[str, torch.Tensor]:
        """Return the loss and its terms."""
        losses, p = self.config.losses, sample.anomaly
        in_brain = (sample.brain > 0).float()
        weight = sample.field_of_view * (losses.outside_brain + (1 - losses.outside_brain) * in_brain)
        k = pathology_weights(p, sample.real_lesion, weight, losses.pathology)
        terms = {
            "reconstruction": reconstruction_loss(output.t1, sample.target, k, losses.gradient),
            "contrast": self_contrast_loss(
                output.t1, sample.target_mirrored, sample.diseased, p, sample.anomaly_mirrored
            ),
            "anomaly": anomaly_loss(output.anomaly_logit, p, weight),
            "error": error_loss(output, sample.target, weight * (1 - p) if sample.real_lesion else weight),
        }
        loss = terms["reconstruction"] + losses.contrast * terms["contrast"]
        return {"loss": loss + losses.anomaly * terms["anomaly"] + losses.error * terms["error"], **terms}


def anomaly_loss(logit: torch.Tensor, p: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted cross-entropy with p, plus soft Dice loss if there is an anomaly."""
    entropy = (F.binary_cross_entropy_with_logits(logit, p, reduction="none") * weight).sum() / weight.sum()
    if float(p.sum()) < MIN_LESION_VOXELS:
        return entropy
    return entropy + soft_dice_loss(torch.sigmoid(logit) * weight, p * weight)


def error_loss(output: UNAOutput, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood of a Laplace distribution of mean absolute error exp(log_error); its gradient
    reaches the error map only."""
    error = (output.t1.detach() - target).abs()
    log_error = output.log_error.clamp(-7, 1)
    return ((error * torch.exp(-log_error) + log_error) * weight).sum() / weight.sum()


def masked_psnr(predicted: torch.Tensor, target: torch.Tensor) -> float:
    """Return PSNR in dB for a peak of 1, at most 60; 0 for no voxels."""
    if not predicted.numel():
        return 0.0
    return psnr(float((predicted - target).square().mean()), min_mse=MIN_MSE)


def average_precision(logit: torch.Tensor, sample: UNASample) -> float:
    """Return the area under the precision-recall curve of the anomaly map within the visible brain."""
    region = (sample.brain > 0.5) & (sample.field_of_view > 0)
    order = logit[region].argsort(descending=True)
    truth = (sample.anomaly[region] > 0.5)[order].double()
    precision = truth.cumsum(0) / torch.arange(1, len(truth) + 1, device=truth.device)
    return float((precision * truth).sum() / truth.sum().clamp_min(1))
