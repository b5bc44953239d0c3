"""A training sample of UNA: one head, sick, in any contrast; its counterpart side; and its T1 in health.

Labels -> warp -> I_0 of some modality -> anomaly encoded -> scanner -> mirrored side, all drawn first. The counterpart
is read through the head's own known mirror map, carried along with the warp, as registration of the flipped scan
finds it at run time; part of the draws use it inexactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.sampling import resize, sample
from SlicerSynthReg.space.smoothing import box_mean
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig, ArtefactDraw, apply_artefacts, draw_artefacts
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.synth.deform import DeformConfig, DeformDraw, draw_deform, unwarped_index, warp_index, warp_labels
from SlicerSynthReg.synth.mirror import Mirror
from SlicerSynthReg.synth.modality import (
    MODALITIES,
    ModalityConfig,
    ModalityDraw,
    as_scanned,
    common_texture,
    draw_modality,
    healthy_means,
    healthy_t1,
    looks_of,
    unscanned,
)
from SlicerSynthReg.synth.pathology.anomaly import AnomalyConfig, AnomalyDraw, draw_anomaly, make_anomalies
from SlicerSynthReg.synth.pathology.appearance import AppearanceConfig, AppearanceDraw, draw_appearance, encode
from SlicerSynthReg.synth.perlin import perlin
from SlicerSynthReg.synth.tissues import GREY, LESION, PALE, RIGHT_TO_LEFT, TISSUES, WHITE


@dataclass(frozen=True)
class HealthyConfig:
    """How samples are made. modalities: share of each of MODALITIES. sick: share with an anomaly, of which `two` have
    a second. stripped: share without skull. misplaced_vox: largest error of the mirror map; plain: share with its
    affine part alone. reach_mm: how far a crop's middle may lie from the head's, along each axis. working: voxels of
    the transport's grid, in voxels of the image. spacing: about, in mm."""

    modalities: tuple[float, ...] = (0.3, 0.2, 0.2, 0.15, 0.15)
    sick: float = 0.85
    two: float = 0.3
    stripped: float = 0.5
    misplaced_vox: float = 2.0
    plain: float = 0.25
    reach_mm: tuple[float, float, float] = (4.0, 24.0, 16.0)
    working: int = 2
    spacing: float = 2.0
    deform: DeformConfig = DeformConfig((8, 16, 32), 0.8, 5, 10.0, 0.0, 0.1, 0.05, (1.8, 2.2))
    modality: ModalityConfig = field(default_factory=ModalityConfig)
    anomaly: AnomalyConfig = field(default_factory=AnomalyConfig)
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    artefacts: ArtefactConfig = ArtefactConfig(thick_slices=0.25, thickest=3, crop=0.15, crop_share=0.15)


@dataclass(frozen=True)
class HealthyDraw:
    """One sample. mirror_share: of the mirror's displacement; mirror_noise: (voxels, seed) of its error."""

    deform: DeformDraw
    modality: ModalityDraw
    artefacts: ArtefactDraw
    anomalies: tuple[AnomalyDraw, ...]
    appearance: AppearanceDraw
    stripped: bool
    texture_seed: int
    mirror_share: float
    mirror_noise: tuple[float, int]


@dataclass(frozen=True, eq=False)
class Labelling:
    """What the label indices of a set of maps mean: brightness by modality and in health, and which are the brain,
    white and grey matter, lesions."""

    looks: dict[str, Looks]
    healthy: tuple[float, ...]
    brain: torch.Tensor
    kept: torch.Tensor
    white: int
    grey: int
    sick: torch.Tensor

    @classmethod
    def of(cls, values: tuple[int, ...], groups: tuple[int, ...]) -> Labelling:
        tissues = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in values]
        inside = [0 < value < 500 for value in values]
        return cls(
            looks_of(values, groups),
            healthy_means(values),
            torch.tensor([i and value != 24 for i, value in zip(inside, values)]),
            torch.tensor(inside),
            values.index(2) if 2 in values else tissues.index(WHITE),
            values.index(3) if 3 in values else tissues.index(GREY),
            torch.tensor([t == LESION or (t == PALE and v == 77) for t, v in zip(tissues, values)]),
        )


@dataclass(frozen=True, eq=False)
class HealthySample:
    """All (B, 1, I, J, K). image, mirrored: the scan in 0..1 and its counterpart side. target: T1 in health. anomaly:
    P. brain, seen: share of brain in each voxel, and 1 where it was scanned. diseased, target_mirrored,
    anomaly_mirrored: the sick T1, and target and P of the counterpart. real: the anomaly was there when the head was
    scanned, so that the target under it is not in health."""

    image: torch.Tensor
    mirrored: torch.Tensor
    target: torch.Tensor
    anomaly: torch.Tensor
    brain: torch.Tensor
    seen: torch.Tensor
    diseased: torch.Tensor
    target_mirrored: torch.Tensor
    anomaly_mirrored: torch.Tensor
    real: bool = False


@dataclass(frozen=True, eq=False)
class Head:
    """A head before it is made sick and scanned, all (1, 1, I, J, K). image: I_0 on 0..255. target: its T1. brain,
    lesion: shares of brain and of what is sick already. white, grey: (1,) mean intensities in I_0; white_t1: of white
    matter in the target. real: as in HealthySample."""

    image: torch.Tensor
    target: torch.Tensor
    brain: torch.Tensor
    lesion: torch.Tensor
    white: torch.Tensor
    grey: torch.Tensor
    white_t1: float
    real: bool = False


def draw_healthy(
    config: HealthyConfig, labelling: Labelling, generator: torch.Generator, modality: str | None = None
) -> HealthyDraw:
    """modality: None draws one."""
    chosen = torch.multinomial(torch.tensor(config.modalities), 1, generator=generator)
    count = draw.chance(generator, config.sick) * (1 + draw.chance(generator, config.two))
    deform = draw_deform(config.deform, generator)
    shifts = [draw.uniform(generator, -reach, reach) for reach in config.reach_mm]
    matrix = tuple((*row[:3], row[3] + shift) for row, shift in zip(deform.matrix, shifts))
    return HealthyDraw(
        deform=replace(deform, matrix=matrix),
        modality=draw_modality(modality or MODALITIES[int(chosen)], labelling.looks, config.modality, generator),
        artefacts=draw_artefacts(config.artefacts, generator),
        anomalies=tuple(draw_anomaly(config.anomaly, generator) for _ in range(count)),
        appearance=draw_appearance(config.appearance, generator),
        stripped=draw.chance(generator, config.stripped),
        texture_seed=draw.seed(generator),
        mirror_share=0.0 if draw.chance(generator, config.plain) else 1.0,
        mirror_noise=(draw.uniform(generator, 0, config.misplaced_vox), draw.seed(generator)),
    )


def make_healthy(
    source: torch.Tensor,
    mirror: Mirror,
    record: HealthyDraw,
    labelling: Labelling,
    config: HealthyConfig,
    shape: tuple[int, int, int],
    masks: tuple[torch.Tensor, ...] = (),
) -> HealthySample:
    """One sample (B = 1) of `shape` from a label map `source` (I, J, K) uint8 of 1 mm and its mirror. masks: lesion
    masks at `config.spacing` times `config.working`."""
    device, size = source.device, tuple(source.shape)
    index = warp_index([record.deform], size, shape, device)
    labels = warp_labels(source[None], resize(index, tuple(2 * n for n in shape)))
    texture = common_texture([record.texture_seed], shape, device)
    shown = labels
    if record.stripped:
        shown = labels.masked_fill(~labelling.kept.to(device)[labels.int()], 0)
    means = record.modality.contrast.means
    head = Head(
        image=unscanned(shown, texture, [record.modality]),
        target=healthy_t1(labels, texture, labelling.healthy),
        brain=_share(labels, labelling.brain),
        lesion=_share(labels, labelling.sick),
        white=torch.tensor([means[labelling.white]], device=device),
        grey=torch.tensor([means[labelling.grey]], device=device),
        white_t1=labelling.healthy[labelling.white],
    )
    return scanned_sick(head, index[0], size, mirror, record, config, masks)


def scanned_sick(
    head: Head,
    index: torch.Tensor,
    size: tuple[int, int, int],
    mirror: Mirror,
    record: HealthyDraw,
    config: HealthyConfig,
    masks: tuple[torch.Tensor, ...],
) -> HealthySample:
    """The head with its drawn anomalies, scanned, beside its counterpart side. index: (3, I, J, K) where its voxels
    were read in the source, whose counts are `size` and whose mirror is `mirror`."""
    shape, device = tuple(head.image.shape[2:]), head.image.device
    grown = _anomaly(record, box_mean(head.brain, 1) > 0.5, config, masks)
    p = torch.maximum(grown, head.lesion)
    # what is sick in a real scan shows as it is there
    image = encode(head.image, grown if head.real else p, head.white, head.grey, [record.appearance])
    image = apply_artefacts(as_scanned(image, [record.modality]), [record.artefacts])
    seen = apply_artefacts(torch.ones_like(image), [ArtefactDraw(None, record.artefacts.keep)])
    diseased = head.target
    if not head.real:
        one = torch.ones(1, device=device)
        diseased = encode(head.target, p, one * head.white_t1, one * 0.0, [record.appearance])
    other = unwarped_index([record.deform], mirror.of(index, record.mirror_share)[None], size, shape) + _misplacement(
        record, shape, device
    )
    mirrored, target_mirrored, p_mirrored = sample(torch.cat([image, head.target, p], 1), other).split(1, 1)
    return HealthySample(
        image, mirrored, head.target, p, head.brain, seen, diseased, target_mirrored, p_mirrored, head.real
    )


def _share(labels: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Share of the chosen labels in each block of 2^3 voxels."""
    return F.avg_pool3d(which.to(labels.device)[labels.int()][:, None].float(), 2)


def _anomaly(
    record: HealthyDraw, brain: torch.Tensor, config: HealthyConfig, masks: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """P (1, 1, I, J, K) in the brain and its fissures: the transports run on coarser voxels, for P is smooth."""
    p = torch.zeros(brain.shape, device=brain.device)
    if record.anomalies:
        coarse = F.avg_pool3d(brain.float(), config.working)[:, 0] > 0.5
        count = len(record.anomalies)
        grown = make_anomalies(
            list(record.anomalies), coarse.repeat(count, 1, 1, 1), config.spacing * config.working, masks
        )
        p = resize(grown.amax(0)[None, None], tuple(brain.shape[2:])) * brain
    return p


def _misplacement(record: HealthyDraw, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """(1, 3, I, J, K) voxels: a smooth error of the mirror map."""
    amount, seed = record.mirror_noise
    return (perlin([seed + n for n in range(3)], shape, (3, 3, 3), device) * (2 * amount))[None]
