"""People's slices in several contrasts: what every task given by examples is cut from.

Contrasts are rendered from label maps. In a third of the sets all people are seen in the same contrasts, in a third
each in contrasts of their own, and in a third the target differs from all examples (Neuralizer supplement G), where the
task allows it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.contrast import ContrastConfig, ContrastDraw, Looks, draw_contrast, render

SHARED, OWN, TARGET_APART = "shared", "own", "target apart"


@dataclass(frozen=True, eq=False)
class People:
    """M people, the target first. labels (M, S, H, W) uint8 indices; images (M, C, S, H, W) in [0, 1]; brain
    (M, S, H, W) bool. The middle slice is the one in question."""

    labels: torch.Tensor
    images: torch.Tensor
    brain: torch.Tensor

    @property
    def middle(self) -> int:
        return self.labels.shape[1] // 2


@dataclass(frozen=True)
class LookConfig:
    """contrast: of the images; scan_like of it is the share that resembles a known sequence. stripped: chance that all
    that is outside the brain is black. jitter: SD of the mean intensities from person to person."""

    contrast: ContrastConfig = field(default_factory=lambda: ContrastConfig(sd=(1.0, 12.0), bias_sd=0.2, scan_like=0.6))
    stripped: float = 0.35
    jitter: float = 5.0


@dataclass(frozen=True)
class LookDraw:
    """contrasts: by person, then by contrast."""

    contrasts: tuple[tuple[ContrastDraw, ...], ...]
    stripped: bool


def draw_looks(
    config: LookConfig,
    looks: Looks,
    people: int,
    scan_like: tuple[float, ...],
    sharing: str,
    biased: bool,
    stripped: bool,
    generator: torch.Generator,
) -> LookDraw:
    """scan_like: for each contrast the chance that it resembles a known sequence. sharing: one of the three above.
    biased: whether a bias field is left in. stripped: whether it may be that only the brain is seen."""
    contrasts: list[list[ContrastDraw]] = [[] for _ in range(people)]
    for share in scan_like:
        how = dataclasses.replace(config.contrast, scan_like=share)
        if not biased:
            how = dataclasses.replace(how, bias_sd=0.0)
        base = draw_contrast(how, looks, generator)
        first = draw_contrast(how, looks, generator) if sharing == TARGET_APART else base
        for n in range(people):
            own = draw_contrast(how, looks, generator)
            like = own if sharing == OWN else first if n == 0 else base
            contrasts[n].append(_resembling(like, own, looks, config.jitter, generator))
    return LookDraw(tuple(map(tuple, contrasts)), stripped and draw.chance(generator, config.stripped))


def _resembling(
    like: ContrastDraw, own: ContrastDraw, looks: Looks, jitter: float, generator: torch.Generator
) -> ContrastDraw:
    """The intensities of `like`, a little off, with the noise, blur and bias of `own`."""
    off = [draw.normal(generator, jitter) for _ in range(max(looks.groups) + 1)]
    means = tuple(min(255.0, max(0.0, mean + off[group])) for mean, group in zip(like.means, looks.groups))
    return dataclasses.replace(
        own,
        means=means,
        sds=like.sds,
        zero_background=like.zero_background,
        gamma=like.gamma * math.exp(draw.normal(generator, 0.05)),
    )


def render_people(labels: torch.Tensor, record: LookDraw, brain: torch.Tensor) -> People:
    """labels (M, S, H, W) uint8 indices; brain (L,) bool: which indices are the brain."""
    inside = brain[labels.long()]
    images = torch.stack([render(labels, list(by_person))[:, 0] for by_person in zip(*record.contrasts)], 1)
    if record.stripped:
        images = images * inside[:, None]
    return People(labels, images, inside)
