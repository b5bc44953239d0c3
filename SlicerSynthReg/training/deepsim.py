"""Training of DeepSim's feature extractor: segmentation, or reconstruction, of images (Czolbe et al. 2021).

The encoder of the trained network is the extractor. Without data it classifies the shapes of label ensembles; with
label maps it segments their labels in any contrast; with a user's images it learns their segmentations or, without
segmentations, to reconstruct them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.metrics.intensity import psnr
from SlicerSynthReg.metrics.overlap import dice_of_counts, overlap_counts
from SlicerSynthReg.networks.unet import UNet, UNetConfig
from SlicerSynthReg.synthesis.single_images import ImageSource

SURROGATES = ("segmentation", "reconstruction")
FEATURES = 16
VALIDATION_SEED, VALIDATION_IMAGES = 10_000_000, 12


@dataclass(frozen=True)
class DeepSimTaskConfig:
    """surrogate: one of SURROGATES. widths: channels by level; the paper's three stages are the last three. batch_size:
    images in a step."""

    surrogate: str = "segmentation"
    widths: tuple[int, ...] = (8, 32, 64, 128)
    batch_size: int = 2

    def __post_init__(self) -> None:
        if self.surrogate not in SURROGATES:
            raise ValueError(f"Found surrogate {self.surrogate!r}, expected one of {', '.join(SURROGATES)}.")


class DeepSimModel(nn.Module):
    """U-Net with an output layer; the auto-encoder has no skip connections, which would bypass its bottleneck."""

    def __init__(self, config: DeepSimTaskConfig, classes: int) -> None:
        super().__init__()
        segmentation = config.surrogate == "segmentation"
        self.net = UNet(UNetConfig(1, FEATURES, config.widths, skips=segmentation))
        self.output = nn.Conv3d(FEATURES, classes if segmentation else 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.output(self.net(images.contiguous(memory_format=torch.channels_last_3d)))


class DeepSimTask:
    """Training task with cross-entropy of the classes, or mean squared error of the reconstruction (after a
    sigmoid)."""

    def __init__(self, config: DeepSimTaskConfig, source: ImageSource, device: str = "cpu") -> None:
        self.config, self.source = config, source
        self.model = DeepSimModel(config, source.classes).to(device).to(memory_format=torch.channels_last_3d)

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        samples = [self.source(generator) for _ in range(self.config.batch_size)]
        images = torch.cat([image for image, _ in samples])
        output = self.model(images)
        if self.config.surrogate == "reconstruction":
            return {"loss": F.mse_loss(torch.sigmoid(output), images)}
        return {"loss": F.cross_entropy(output, torch.cat([_classes(classes) for _, classes in samples]))}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return "score" on validation images: mean Dice of the classes present, or PSNR in dB."""
        count, mse = self.source.classes, 0.0
        counts, present = torch.zeros(2, count), torch.zeros(count)
        for n in range(VALIDATION_IMAGES):
            image, classes = self.source(torch.Generator().manual_seed(VALIDATION_SEED + n), held_out=True)
            output = model(image)
            mse += float(F.mse_loss(torch.sigmoid(output[:, :1]), image)) / VALIDATION_IMAGES
            if self.config.surrogate == "segmentation":
                truth = _classes(classes).flatten().cpu()
                counts += overlap_counts(output.argmax(1).flatten().cpu(), truth, count)
                present += torch.bincount(truth, minlength=count)
        if self.config.surrogate == "reconstruction":
            return {"score": psnr(mse, min_mse=1e-9)}
        return {"score": float(dice_of_counts(counts)[present > 0].mean())}


def _classes(classes: torch.Tensor | None) -> torch.Tensor:
    if classes is None:
        raise ValueError("Found images without segmentations, expected them for --surrogate segmentation.")
    return classes.long()
