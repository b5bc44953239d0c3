"""In-context tasks: the eight of Neuralizer's table 1, its simulated transfer and masking, and lesion segmentation.

A task turns the slices of several subjects into inputs x (three channels, unused ones 0) and outputs y (one channel), a
mask or an image. All random decisions are drawn into a record first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.synthesis import corruption, draw
from SlicerSynthReg.synthesis.corruption import CorruptionDraw, draw_corruption
from SlicerSynthReg.synthesis.subjects import SEPARATE, SHARED, TARGET_DIFFERS, Subjects
from SlicerSynthReg.synthesis.task_augmentation import (
    AUGMENTATION_TREE,
    AugmentationNode,
    TaskAugmentationDraw,
    augment_channels,
    augment_images,
    augment_mask,
)

CHANNELS = 3
MIN_PIXELS = 20
"""Smallest structure in the target's slice that a mask is made of."""

_NO_SHAPE_CHANGES = AUGMENTATION_TREE.without("mask contour", "mask dilation")
_NO_CONTRAST_CHANGES = AUGMENTATION_TREE.without("sobel filter", "synthetic modality")


@dataclass(frozen=True)
class TaskDefinition:
    """weight: relative frequency (the paper's table 7). mask: whether the output is a mask. max_images: channels that
    show the subject at most. output_contrasts: contrasts beyond the inputs. any_contrast: whether the contrast of the
    examples may differ from the target's."""

    weight: float
    mask: bool
    augmentations: AugmentationNode = AUGMENTATION_TREE
    max_images: int = CHANNELS
    output_contrasts: int = 0
    any_contrast: bool = True


TASKS: Mapping[str, TaskDefinition] = {
    "segmentation": TaskDefinition(2.0, True, any_contrast=False),
    "modality transfer": TaskDefinition(2.0, False, _NO_CONTRAST_CHANGES, output_contrasts=1, any_contrast=False),
    "super-resolution": TaskDefinition(1.0, False),
    "skull stripping": TaskDefinition(0.5, True),
    "motion": TaskDefinition(0.5, False),
    "denoising": TaskDefinition(0.5, False),
    "undersampling": TaskDefinition(1.0, False),
    "in-painting": TaskDefinition(1.0, False, _NO_SHAPE_CHANGES, max_images=2),
    "simulated transfer": TaskDefinition(1.0, False, _NO_CONTRAST_CHANGES, output_contrasts=1, any_contrast=False),
    "masking": TaskDefinition(0.5, False, _NO_SHAPE_CHANGES, max_images=2),
    "lesion": TaskDefinition(1.0, True, any_contrast=False),
}
"""Weights of the paper; "lesion" is an addition. "denoising" includes the removal of a bias field."""

_CORRUPTIONS = {
    "super-resolution": corruption.downsample,
    "motion": corruption.add_motion,
    "denoising": corruption.add_noise_and_bias,
    "undersampling": corruption.undersample_kspace,
}


@dataclass(frozen=True)
class TaskSetting:
    """What an episode offers to its task. subjects, contrasts: their numbers; the last contrast is the output of a task
    with output contrasts. planes: (contrast, slice) of each input channel. groups: structure of each label index (left
    and right share one). hidden_labels: label indices that no mask contains."""

    subjects: int
    contrasts: int
    planes: tuple[tuple[int, int], ...]
    groups: Sequence[int]
    hidden_labels: Sequence[int] = ()


@dataclass(frozen=True)
class TaskDraw:
    """planes: (contrast, slice) of each input channel. output: contrast of the output. labels: label indices of the
    mask. corruptions: by subject. lesion_contrast: what a lesion adds to each contrast."""

    task: str
    planes: tuple[tuple[int, int], ...]
    output: int
    labels: tuple[int, ...]
    corruptions: tuple[CorruptionDraw, ...]
    lesion_contrast: tuple[float, ...]
    augmentation: TaskAugmentationDraw


@dataclass(frozen=True, eq=False)
class Episode:
    """x (M, 3, H, W) and y (M, 1, H, W) of M subjects, the target first. mask: whether y is a mask."""

    x: torch.Tensor
    y: torch.Tensor
    mask: bool

    @property
    def support(self) -> torch.Tensor:
        """The support set (1, M - 1, 4, H, W) as the network takes it."""
        return torch.cat([self.x, self.y], 1)[None, 1:]


def draw_task_name(generator: torch.Generator, excluded: Sequence[str] = ()) -> str:
    """Draw a task by its weight."""
    names = [name for name in TASKS if name not in excluded]
    weights = torch.tensor([TASKS[name].weight for name in names])
    return names[int(torch.multinomial(weights, 1, generator=generator))]


def draw_contrast_sharing(name: str, generator: torch.Generator) -> str:
    """Draw how the subjects' contrasts relate: SHARED, SEPARATE or TARGET_DIFFERS."""
    if not TASKS[name].any_contrast:
        return SHARED
    return (SHARED, SEPARATE, TARGET_DIFFERS)[draw.integer(generator, 0, 2)]


def draw_task(
    name: str,
    labels: torch.Tensor,
    setting: TaskSetting,
    augmentation: TaskAugmentationDraw,
    generator: torch.Generator,
) -> TaskDraw:
    """Draw the parameters of task `name`. labels (H, W): label indices in the target's slice."""
    severity = draw.uniform(generator, 0.0, 1.0)
    return TaskDraw(
        name,
        setting.planes,
        setting.contrasts - 1 if TASKS[name].output_contrasts else setting.planes[0][0],
        _draw_labels(labels, setting, generator),
        tuple(draw_corruption(severity, generator) for _ in range(setting.subjects)),
        tuple(draw.uniform(generator, 0.15, 0.5) * draw.sign(generator) for _ in range(setting.contrasts)),
        augmentation,
    )


def _draw_labels(labels: torch.Tensor, setting: TaskSetting, generator: torch.Generator) -> tuple[int, ...]:
    """Draw the indices of one to four structures of the slice (H, W); of one side only in a quarter of the draws."""
    groups, hidden = setting.groups, setting.hidden_labels
    counts = torch.bincount(labels.flatten().long(), minlength=len(groups))
    present = [n for n in range(1, len(groups)) if n not in hidden and int(counts[n]) >= MIN_PIXELS]
    if not present:
        return ()
    number = 1 if draw.chance(generator, 0.6) else draw.integer(generator, 2, 4)
    order = torch.randperm(len(present), generator=generator)[:number]
    chosen = [present[int(n)] for n in order]
    if draw.chance(generator, 0.25):
        return tuple(sorted(chosen))
    structures = {groups[n] for n in chosen}
    return tuple(n for n in range(1, len(groups)) if groups[n] in structures and n not in hidden)


def apply_task(record: TaskDraw, subjects: Subjects) -> Episode:
    """Return the episode of a task, applied to each subject alike."""
    task = TASKS[record.task]
    images = augment_images(subjects.images, record.augmentation)
    lesions = None
    if record.task == "lesion":
        lesions = _lesions(subjects, record)
        contrast = torch.tensor(record.lesion_contrast)[None, :, None, None, None]
        images = (images + contrast * lesions[:, None, None]).clamp(0, 1)
    planes = torch.stack([images[:, contrast, slice_] for contrast, slice_ in record.planes], 1)
    image = images[:, record.output, subjects.middle]
    if lesions is not None:
        y = augment_mask((lesions > 0.5).float(), record.augmentation)
    elif record.task == "segmentation":
        y = augment_mask(_label_mask(subjects, record.labels), record.augmentation)
    elif record.task == "skull stripping":
        y = augment_mask(subjects.brain[:, subjects.middle].float(), record.augmentation)
    elif record.task == "masking":
        mask = augment_mask(_label_mask(subjects, record.labels), record.augmentation)
        planes, y = torch.cat([planes, mask[:, None]], 1), image * mask
    elif record.task == "in-painting":
        holes = torch.stack([corruption.hole_mask(_size(subjects), item) for item in record.corruptions]).float()
        holes = augment_mask(holes, record.augmentation)
        planes, y = torch.cat([planes * (1 - holes[:, None]), holes[:, None]], 1), image
    elif record.task in _CORRUPTIONS:
        corrupt = _CORRUPTIONS[record.task]
        planes = torch.stack([corrupt(plane, how) for plane, how in zip(planes, record.corruptions)])
        y = image
    else:
        y = image
    x = torch.cat([planes, planes.new_zeros(len(planes), CHANNELS - planes.shape[1], *_size(subjects))], 1)
    return Episode(augment_channels(x, record.augmentation), y[:, None], task.mask)


def _label_mask(subjects: Subjects, labels: Sequence[int]) -> torch.Tensor:
    return torch.isin(subjects.labels[:, subjects.middle].int(), torch.tensor(labels, dtype=torch.int32)).float()


def _lesions(subjects: Subjects, record: TaskDraw) -> torch.Tensor:
    """Return lesion maps (M, H, W) in [0, 1]."""
    inside = subjects.brain[:, subjects.middle]
    return torch.stack([corruption.lesion_map(where, item) for where, item in zip(inside, record.corruptions)])


def _size(subjects: Subjects) -> tuple[int, int]:
    return subjects.labels.shape[-2], subjects.labels.shape[-1]
