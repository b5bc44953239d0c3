"""Tasks given by examples: the eight of Neuralizer's table 1, its simulated transfer and masking, and lesions.

A task turns people's slices into inputs x (three channels, empty ones zero) and answers y (one channel): a mask, or an
image. Everything random is drawn into a record first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.synth import damage, draw
from SlicerSynthReg.synth.augment import (
    TREE,
    AugmentDraw,
    Node,
    augment_channels,
    augment_images,
    augment_mask,
)
from SlicerSynthReg.synth.damage import DamageDraw, draw_damage
from SlicerSynthReg.synth.people import OWN, SHARED, TARGET_APART, People

CHANNELS = 3
LEAST_PIXELS = 20
"""A structure with fewer pixels in the target's slice is no task."""

_NO_SHAPES = TREE.without("mask contour", "mask dilation")
_NO_LOOKS = TREE.without("sobel filter", "synthetic modality")


@dataclass(frozen=True)
class TaskKind:
    """weight: how often it comes about (the paper's table 7). mask: whether the answer is one. images: most channels
    that show the person. outputs: contrasts beyond the inputs. any_contrast: examples may look unlike the target."""

    weight: float
    mask: bool
    tree: Node = TREE
    images: int = CHANNELS
    outputs: int = 0
    any_contrast: bool = True


TASKS: Mapping[str, TaskKind] = {
    "segmentation": TaskKind(2.0, True, any_contrast=False),
    "modality transfer": TaskKind(2.0, False, _NO_LOOKS, outputs=1, any_contrast=False),
    "super-resolution": TaskKind(1.0, False),
    "skull stripping": TaskKind(0.5, True),
    "motion": TaskKind(0.5, False),
    "denoising": TaskKind(0.5, False),
    "undersampling": TaskKind(1.0, False),
    "in-painting": TaskKind(1.0, False, _NO_SHAPES, images=2),
    "simulated transfer": TaskKind(1.0, False, _NO_LOOKS, outputs=1, any_contrast=False),
    "masking": TaskKind(0.5, False, _NO_SHAPES, images=2),
    "lesion": TaskKind(1.0, True, any_contrast=False),
}
"""Weights are the paper's; "lesion" is ours. "denoising" removes a bias field too."""

_DAMAGES = {
    "super-resolution": damage.coarsened,
    "motion": damage.moved_while_scanned,
    "denoising": damage.noisy_and_biased,
    "undersampling": damage.undersampled,
}


@dataclass(frozen=True)
class TaskDraw:
    """planes: (contrast, slice) of each input image. output: contrast of the answer. labels: indices that make up the
    mask. damages: by person. change: what a lesion adds to each contrast."""

    task: str
    planes: tuple[tuple[int, int], ...]
    output: int
    labels: tuple[int, ...]
    damages: tuple[DamageDraw, ...]
    change: tuple[float, ...]
    augment: AugmentDraw


@dataclass(frozen=True, eq=False)
class Question:
    """x (M, 3, H, W) and y (M, 1, H, W) of M people, the target first. mask: whether y is one."""

    x: torch.Tensor
    y: torch.Tensor
    mask: bool

    @property
    def context(self) -> torch.Tensor:
        """(1, M - 1, 4, H, W): the examples as a network takes them."""
        return torch.cat([self.x, self.y], 1)[None, 1:]


def draw_name(generator: torch.Generator, without: Sequence[str] = ()) -> str:
    """One of the tasks, by their weights."""
    names = [name for name in TASKS if name not in without]
    weights = torch.tensor([TASKS[name].weight for name in names])
    return names[int(torch.multinomial(weights, 1, generator=generator))]


def draw_sharing(name: str, generator: torch.Generator) -> str:
    """How the people's contrasts relate."""
    return (SHARED, OWN, TARGET_APART)[draw.integer(generator, 0, 2)] if TASKS[name].any_contrast else SHARED


def draw_task(
    name: str,
    labels: torch.Tensor,
    people: int,
    contrasts: int,
    planes: tuple[tuple[int, int], ...],
    augment: AugmentDraw,
    groups: Sequence[int],
    generator: torch.Generator,
    hidden: Sequence[int] = (),
) -> TaskDraw:
    """labels (H, W): indices in the target's slice. groups: for each label index the structure it belongs to (left and
    right together). hidden: label indices that no mask is made of. The last of the `contrasts` is the answer of a task
    that has outputs."""
    severity = draw.uniform(generator, 0.0, 1.0)
    return TaskDraw(
        name,
        planes,
        contrasts - 1 if TASKS[name].outputs else planes[0][0],
        _draw_labels(labels, groups, hidden, generator),
        tuple(draw_damage(severity, generator) for _ in range(people)),
        tuple(draw.uniform(generator, 0.15, 0.5) * draw.sign(generator) for _ in range(contrasts)),
        augment,
    )


def _draw_labels(
    labels: torch.Tensor, groups: Sequence[int], hidden: Sequence[int], generator: torch.Generator
) -> tuple[int, ...]:
    """Indices of one to four of the structures that the slice (H, W) shows, of one side in a quarter of the draws."""
    counts = torch.bincount(labels.flatten().long(), minlength=len(groups))
    shown = [n for n in range(1, len(groups)) if n not in hidden and int(counts[n]) >= LEAST_PIXELS]
    if not shown:
        return ()
    number = 1 if draw.chance(generator, 0.6) else draw.integer(generator, 2, 4)
    order = torch.randperm(len(shown), generator=generator)[:number]
    picked = [shown[int(n)] for n in order]
    if draw.chance(generator, 0.25):
        return tuple(sorted(picked))
    wanted = {groups[n] for n in picked}
    return tuple(n for n in range(1, len(groups)) if groups[n] in wanted and n not in hidden)


def make_task(record: TaskDraw, people: People) -> Question:
    """The same task for every one of `people`."""
    kind = TASKS[record.task]
    images = augment_images(people.images, record.augment)
    lesions = None
    if record.task == "lesion":
        lesions = _lesions(people, record)
        change = torch.tensor(record.change)[None, :, None, None, None]
        images = (images + change * lesions[:, None, None]).clamp(0, 1)
    planes = torch.stack([images[:, contrast, slice_] for contrast, slice_ in record.planes], 1)
    shown = images[:, record.output, people.middle]
    if lesions is not None:
        y = augment_mask((lesions > 0.5).float(), record.augment)
    elif record.task == "segmentation":
        y = augment_mask(_mask_of(people, record.labels), record.augment)
    elif record.task == "skull stripping":
        y = augment_mask(people.brain[:, people.middle].float(), record.augment)
    elif record.task == "masking":
        mask = augment_mask(_mask_of(people, record.labels), record.augment)
        planes, y = torch.cat([planes, mask[:, None]], 1), shown * mask
    elif record.task == "in-painting":
        gone = torch.stack([damage.holes(_size(people), one) for one in record.damages]).float()
        gone = augment_mask(gone, record.augment)
        planes, y = torch.cat([planes * (1 - gone[:, None]), gone[:, None]], 1), shown
    elif record.task in _DAMAGES:
        planes = torch.stack([_DAMAGES[record.task](one, how) for one, how in zip(planes, record.damages)])
        y = shown
    else:
        y = shown
    x = torch.cat([planes, planes.new_zeros(len(planes), CHANNELS - planes.shape[1], *_size(people))], 1)
    return Question(augment_channels(x, record.augment), y[:, None], kind.mask)


def _mask_of(people: People, labels: Sequence[int]) -> torch.Tensor:
    return torch.isin(people.labels[:, people.middle].int(), torch.tensor(labels, dtype=torch.int32)).float()


def _lesions(people: People, record: TaskDraw) -> torch.Tensor:
    """(M, H, W) in 0..1."""
    inside = people.brain[:, people.middle]
    return torch.stack([damage.lesion(where, one) for where, one in zip(inside, record.damages)])


def _size(people: People) -> tuple[int, int]:
    return people.labels.shape[-2], people.labels.shape[-1]
