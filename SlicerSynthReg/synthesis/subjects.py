"""Slices of several subjects in several contrasts, from which the tasks of episodes are made.

Contrasts are synthesised from label maps. In a third of the episodes all subjects share their contrasts, in a third
each has contrasts of its own, and in a third the target differs from all examples (Neuralizer supplement G), where the
task permits it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.mr_contrast import (
    IntensityTables,
    MRContrastConfig,
    MRContrastDraw,
    draw_mr_contrast,
    render,
)

SHARED, SEPARATE, TARGET_DIFFERS = "shared", "separate", "target differs"


@dataclass(frozen=True, eq=False)
class Subjects:
    """M subjects, the target first. labels (M, S, H, W) uint8 indices; images (M, C, S, H, W) in [0, 1]; brain
    (M, S, H, W) bool. The task concerns the middle slice."""

    labels: torch.Tensor
    images: torch.Tensor
    brain: torch.Tensor

    @property
    def middle(self) -> int:
        return self.labels.shape[1] // 2


@dataclass(frozen=True)
class AppearanceConfig:
    """contrast: its table_probability is the share that follows a known sequence. skull_strip_probability: that all
    outside the brain is 0. mean_jitter: SD of the mean intensities between subjects, of 255."""

    contrast: MRContrastConfig = field(
        default_factory=lambda: MRContrastConfig(sd=(1.0, 12.0), bias_sd=0.2, table_probability=0.6)
    )
    skull_strip_probability: float = 0.35
    mean_jitter: float = 5.0


@dataclass(frozen=True)
class AppearanceOptions:
    """What a task requires. table_probabilities: for each contrast the probability that it follows a known sequence.
    sharing: SHARED, SEPARATE or TARGET_DIFFERS. biased: whether a bias field remains. may_strip: whether the skull may
    be stripped."""

    table_probabilities: tuple[float, ...]
    sharing: str
    biased: bool
    may_strip: bool


@dataclass(frozen=True)
class AppearanceDraw:
    """contrasts: by subject, then by contrast."""

    contrasts: tuple[tuple[MRContrastDraw, ...], ...]
    skull_stripped: bool


def draw_appearance(
    config: AppearanceConfig,
    tables: IntensityTables,
    subjects: int,
    options: AppearanceOptions,
    generator: torch.Generator,
) -> AppearanceDraw:
    """Draw the contrasts of `subjects` subjects, the target first."""
    contrasts: list[list[MRContrastDraw]] = [[] for _ in range(subjects)]
    for probability in options.table_probabilities:
        contrast = dataclasses.replace(config.contrast, table_probability=probability)
        if not options.biased:
            contrast = dataclasses.replace(contrast, bias_sd=0.0)
        base = draw_mr_contrast(contrast, tables, generator)
        first = draw_mr_contrast(contrast, tables, generator) if options.sharing == TARGET_DIFFERS else base
        for n in range(subjects):
            own = draw_mr_contrast(contrast, tables, generator)
            like = own if options.sharing == SEPARATE else first if n == 0 else base
            contrasts[n].append(_jittered(like, own, tables, config.mean_jitter, generator))
    stripped = options.may_strip and draw.chance(generator, config.skull_strip_probability)
    return AppearanceDraw(tuple(map(tuple, contrasts)), stripped)


def _jittered(
    like: MRContrastDraw, own: MRContrastDraw, tables: IntensityTables, jitter: float, generator: torch.Generator
) -> MRContrastDraw:
    """Return the mean intensities of `like` with jitter, and noise, blur and bias field of `own`."""
    offsets = [draw.normal(generator, jitter) for _ in range(max(tables.groups) + 1)]
    means = tuple(min(255.0, max(0.0, mean + offsets[group])) for mean, group in zip(like.means, tables.groups))
    return dataclasses.replace(
        own,
        means=means,
        sds=like.sds,
        zero_background=like.zero_background,
        gamma=like.gamma * math.exp(draw.normal(generator, 0.05)),
    )


def render_subjects(labels: torch.Tensor, record: AppearanceDraw, brain: torch.Tensor) -> Subjects:
    """Return subjects rendered from labels (M, S, H, W) uint8 indices; brain (L,) bool: indices inside the brain."""
    inside = brain[labels.long()]
    images = torch.stack([render(labels, list(by_subject))[:, 0] for by_subject in zip(*record.contrasts)], 1)
    if record.skull_stripped:
        images = images * inside[:, None]
    return Subjects(labels, images, inside)
