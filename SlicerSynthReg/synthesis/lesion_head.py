"""A training sample of UNA: a head with lesions in any contrast, its contralateral side, and its healthy T1.

Labels -> deformation -> I_0 of a modality -> anomaly -> scanner -> mirrored side, all drawn first. The contralateral
side is sampled through the head's own mirror map, deformed with the head, as the registration of the flipped scan finds
it at run time; some draws perturb it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.sampling import resize, sample
from SlicerSynthReg.spatial.smoothing import box_mean
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig, ArtefactDraw, apply_artefacts, draw_artefacts
from SlicerSynthReg.synthesis.deformation import (
    DeformationConfig,
    DeformationDraw,
    draw_deformation,
    inverse_warp_index,
    warp_index,
    warp_labels,
)
from SlicerSynthReg.synthesis.mirror import Mirror
from SlicerSynthReg.synthesis.modality import (
    MODALITIES,
    ModalityConfig,
    ModalityDraw,
    acquired_image,
    draw_modality,
    healthy_means,
    healthy_t1,
    ideal_image,
    modality_tables,
    shared_texture,
)
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.synthesis.pathology.anomaly import AnomalyConfig, AnomalyDraw, draw_anomaly, make_anomalies
from SlicerSynthReg.synthesis.pathology.appearance import (
    LesionAppearanceConfig,
    LesionAppearanceDraw,
    draw_lesion_appearance,
    encode_anomaly,
)
from SlicerSynthReg.synthesis.perlin import perlin
from SlicerSynthReg.synthesis.tissues import GREY, LESION, PALE, RIGHT_TO_LEFT, TISSUES, WHITE


@dataclass(frozen=True)
class UNASampleConfig:
    """How samples are drawn. modalities: probability of each of MODALITIES. lesion_probability: of an anomaly, and
    second_lesion_probability of a second one beside it. skull_strip_probability: of a head without skull.
    mirror_error_vox: largest error of the mirror map. affine_mirror_probability: of its affine part alone. reach_mm:
    largest offset of a crop's centre from the head's, along each axis. transport_factor: voxel size of the transport's
    grid, in voxels of the image. spacing: approximate voxel size, mm."""

    modalities: tuple[float, ...] = (0.3, 0.2, 0.2, 0.15, 0.15)
    lesion_probability: float = 0.85
    second_lesion_probability: float = 0.3
    skull_strip_probability: float = 0.5
    mirror_error_vox: float = 2.0
    affine_mirror_probability: float = 0.25
    reach_mm: tuple[float, float, float] = (4.0, 24.0, 16.0)
    transport_factor: int = 2
    spacing: float = 2.0
    deform: DeformationConfig = DeformationConfig((8, 16, 32), 0.8, 5, 10.0, 0.0, 0.1, 0.05, (1.8, 2.2))
    modality: ModalityConfig = field(default_factory=ModalityConfig)
    anomaly: AnomalyConfig = field(default_factory=AnomalyConfig)
    appearance: LesionAppearanceConfig = field(default_factory=LesionAppearanceConfig)
    artefacts: ArtefactConfig = ArtefactConfig(thick_slices=0.25, thickest=3, crop=0.15, crop_fraction=0.15)


@dataclass(frozen=True)
class UNASampleDraw:
    """One sample. mirror_share: factor of the mirror's displacement. mirror_noise: (voxels, seed) of its error."""

    deform: DeformationDraw
    modality: ModalityDraw
    artefacts: ArtefactDraw
    anomalies: tuple[AnomalyDraw, ...]
    appearance: LesionAppearanceDraw
    skull_stripped: bool
    texture_seed: int
    mirror_share: float
    mirror_noise: tuple[float, int]


@dataclass(frozen=True, eq=False)
class LabelProperties:
    """Properties of the label indices of a set of maps. looks: intensity distributions by modality. healthy: T1
    intensities. brain, inside_head, lesion: bool tables. white, grey: indices."""

    looks: dict[str, IntensityTables]
    healthy: tuple[float, ...]
    brain: torch.Tensor
    inside_head: torch.Tensor
    white: int
    grey: int
    lesion: torch.Tensor

    @classmethod
    def from_values(cls, values: tuple[int, ...], groups: tuple[int, ...]) -> LabelProperties:
        """Return the properties of labels with these FreeSurfer values and intensity groups."""
        tissues = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in values]
        inside = [0 < value < 500 for value in values]
        return cls(
            modality_tables(values, groups),
            healthy_means(values),
            torch.tensor([i and value != 24 for i, value in zip(inside, values)]),
            torch.tensor(inside),
            values.index(2) if 2 in values else tissues.index(WHITE),
            values.index(3) if 3 in values else tissues.index(GREY),
            torch.tensor([t == LESION or (t == PALE and v == 77) for t, v in zip(tissues, values)]),
        )


@dataclass(frozen=True, eq=False)
class UNASample:
    """Images (B, 1, I, J, K).

    image, mirrored: the scan in 0..1 and its contralateral side. target: healthy T1. anomaly: P. brain: fraction of
    brain. field_of_view: 1 where scanned. diseased, target_mirrored, anomaly_mirrored: the T1 with lesions, and target
    and P of the contralateral side. real_lesion: the lesion is the scan's own; the target under it is not healthy.
    """

    image: torch.Tensor
    mirrored: torch.Tensor
    target: torch.Tensor
    anomaly: torch.Tensor
    brain: torch.Tensor
    field_of_view: torch.Tensor
    diseased: torch.Tensor
    target_mirrored: torch.Tensor
    anomaly_mirrored: torch.Tensor
    real_lesion: bool = False


@dataclass(frozen=True, eq=False)
class RenderedHead:
    """A head before anomalies and scanner, all (1, 1, I, J, K). image: I_0 on 0..255. target: its T1. brain, lesion:
    fractions of brain and of lesions that it has already. white, grey: (1,) mean intensities in I_0. white_t1: of white
    matter in the target. real_lesion: as in UNASample."""

    image: torch.Tensor
    target: torch.Tensor
    brain: torch.Tensor
    lesion: torch.Tensor
    white: torch.Tensor
    grey: torch.Tensor
    white_t1: float
    real_lesion: bool = False


def draw_una_sample(
    config: UNASampleConfig, labelling: LabelProperties, generator: torch.Generator, modality: str | None = None
) -> UNASampleDraw:
    """Draw one sample. modality: one of MODALITIES, None draws it."""
    chosen = torch.multinomial(torch.tensor(config.modalities), 1, generator=generator)
    count = draw.chance(generator, config.lesion_probability) * (
        1 + draw.chance(generator, config.second_lesion_probability)
    )
    deform = draw_deformation(config.deform, generator)
    shifts = [draw.uniform(generator, -reach, reach) for reach in config.reach_mm]
    matrix = tuple((*row[:3], row[3] + shift) for row, shift in zip(deform.matrix, shifts))
    return UNASampleDraw(
        deform=replace(deform, matrix=matrix),
        modality=draw_modality(modality or MODALITIES[int(chosen)], labelling.looks, config.modality, generator),
        artefacts=draw_artefacts(config.artefacts, generator),
        anomalies=tuple(draw_anomaly(config.anomaly, generator) for _ in range(count)),
        appearance=draw_lesion_appearance(config.appearance, generator),
        skull_stripped=draw.chance(generator, config.skull_strip_probability),
        texture_seed=draw.seed(generator),
        mirror_share=0.0 if draw.chance(generator, config.affine_mirror_probability) else 1.0,
        mirror_noise=(draw.uniform(generator, 0, config.mirror_error_vox), draw.seed(generator)),
    )


@dataclass(frozen=True, eq=False)
class LabelledSubject:
    """labels: (I, J, K) uint8 label indices in RAS, 1 mm. mirror: maps each voxel to its contralateral counterpart."""

    labels: torch.Tensor
    mirror: Mirror

    def to(self, device: str) -> LabelledSubject:
        """Return the subject with its labels on `device`."""
        return LabelledSubject(self.labels.to(device), self.mirror)


@dataclass(frozen=True, eq=False)
class SourceSampling:
    """Where a sample was read. index: (3, I, J, K) voxel indices in the source. shape, mirror: of the source."""

    index: torch.Tensor
    shape: tuple[int, int, int]
    mirror: Mirror


def make_una_sample(
    subject: LabelledSubject,
    record: UNASampleDraw,
    labelling: LabelProperties,
    config: UNASampleConfig,
    shape: tuple[int, int, int],
    masks: tuple[torch.Tensor, ...] = (),
) -> UNASample:
    """Return one sample (B = 1) of `shape` from a label map.

    masks: lesion masks with voxels of `config.spacing` times `config.transport_factor`.
    """
    device, size = subject.labels.device, tuple(subject.labels.shape)
    index = warp_index([record.deform], size, shape, device)
    labels = warp_labels(subject.labels[None], resize(index, tuple(2 * n for n in shape)))
    texture = shared_texture([record.texture_seed], shape, device)
    visible = labels
    if record.skull_stripped:
        visible = labels.masked_fill(~labelling.inside_head.to(device)[labels.int()], 0)
    means = record.modality.contrast.means
    head = RenderedHead(
        image=ideal_image(visible, texture, [record.modality]),
        target=healthy_t1(labels, texture, labelling.healthy),
        brain=_fraction(labels, labelling.brain),
        lesion=_fraction(labels, labelling.lesion),
        white=torch.tensor([means[labelling.white]], device=device),
        grey=torch.tensor([means[labelling.grey]], device=device),
        white_t1=labelling.healthy[labelling.white],
    )
    return simulate_lesion_scan(head, SourceSampling(index[0], size, subject.mirror), record, config, masks)


def simulate_lesion_scan(
    head: RenderedHead,
    sampling: SourceSampling,
    record: UNASampleDraw,
    config: UNASampleConfig,
    masks: tuple[torch.Tensor, ...],
) -> UNASample:
    """Return the head with its drawn anomalies, scanned, and its contralateral side. masks: as in `make_una_sample`."""
    shape, device = tuple(head.image.shape[2:]), head.image.device
    drawn = _anomaly(record, box_mean(head.brain, 1) > 0.5, config, masks)
    p = torch.maximum(drawn, head.lesion)
    # a real lesion keeps its appearance
    image = encode_anomaly(head.image, drawn if head.real_lesion else p, head.white, head.grey, [record.appearance])
    image = apply_artefacts(acquired_image(image, [record.modality]), [record.artefacts])
    field_of_view = apply_artefacts(torch.ones_like(image), [ArtefactDraw(None, record.artefacts.keep)])
    diseased = head.target
    if not head.real_lesion:
        unit = torch.ones(1, device=device)
        diseased = encode_anomaly(head.target, p, unit * head.white_t1, unit * 0.0, [record.appearance])
    counterpart = sampling.mirror.map_index(sampling.index, record.mirror_share)[None]
    index = inverse_warp_index([record.deform], counterpart, sampling.shape, shape) + _mirror_error(
        record, shape, device
    )
    mirrored, target_mirrored, p_mirrored = sample(torch.cat([image, head.target, p], 1), index).split(1, 1)
    return UNASample(
        image,
        mirrored,
        head.target,
        p,
        head.brain,
        field_of_view,
        diseased,
        target_mirrored,
        p_mirrored,
        head.real_lesion,
    )


def _fraction(labels: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Return the fraction of the chosen labels in each block of 2^3 voxels."""
    return F.avg_pool3d(which.to(labels.device)[labels.int()][:, None].float(), 2)


def _anomaly(
    record: UNASampleDraw, brain: torch.Tensor, config: UNASampleConfig, masks: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """Return P (1, 1, I, J, K) in the brain and its fissures, transported on coarser voxels because P is smooth."""
    p = torch.zeros(brain.shape, device=brain.device)
    if record.anomalies:
        coarse = F.avg_pool3d(brain.float(), config.transport_factor)[:, 0] > 0.5
        count = len(record.anomalies)
        profiles = make_anomalies(
            list(record.anomalies), coarse.repeat(count, 1, 1, 1), config.spacing * config.transport_factor, masks
        )
        p = resize(profiles.amax(0)[None, None], tuple(brain.shape[2:])) * brain
    return p


def _mirror_error(record: UNASampleDraw, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return a smooth error of the mirror map: (1, 3, I, J, K), voxels."""
    amount, seed = record.mirror_noise
    return (perlin([seed + n for n in range(3)], shape, (3, 3, 3), device) * (2 * amount))[None]
