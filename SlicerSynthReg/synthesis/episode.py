"""Episodes: a target, a support set and the task they share, drawn as one record that rebuilds them from label maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.deformation import warp_image
from SlicerSynthReg.synthesis.in_context_tasks import (
    TASKS,
    Episode,
    TaskDraw,
    TaskSetting,
    apply_task,
    draw_contrast_sharing,
    draw_task,
    draw_task_name,
)
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.synthesis.slices import SlabDraw, SliceConfig, brain_boxes, draw_slab, slab_index, slab_labels
from SlicerSynthReg.synthesis.subjects import (
    AppearanceConfig,
    AppearanceDraw,
    AppearanceOptions,
    Subjects,
    draw_appearance,
    render_subjects,
)
from SlicerSynthReg.synthesis.task_augmentation import draw_task_augmentation


@dataclass(frozen=True)
class EpisodeConfig:
    """slab_probability: probability that the channels show adjacent slices instead of several contrasts.
    multi_contrast_probability: of more than one contrast. excluded_tasks: names of TASKS. augment: whether tasks are
    augmented."""

    slices: SliceConfig = field(default_factory=SliceConfig)
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    slab_probability: float = 0.3
    multi_contrast_probability: float = 0.25
    excluded_tasks: tuple[str, ...] = ()
    augment: bool = True


@dataclass(frozen=True)
class EpisodeDraw:
    """One episode. scanned_contrasts: which contrasts of the scans are shown; () where contrasts are synthesised."""

    slab: SlabDraw
    appearance: AppearanceDraw
    task: TaskDraw
    scanned_contrasts: tuple[int, ...] = ()


class EpisodeSource:
    """Label maps (I, J, K) uint8 of one numbering, from which episodes are made.

    tables: intensities by label index. brain (L,) bool: indices inside the brain. hidden_labels: indices that no mask
    contains. scans: per map the subject's images (C, I, J, K) in [0, 1], the same C contrasts for all; without them
    contrasts are synthesised.
    """

    def __init__(
        self,
        label_maps: Sequence[torch.Tensor],
        tables: IntensityTables,
        brain: torch.Tensor,
        hidden_labels: Sequence[int] = (),
        scans: Sequence[torch.Tensor] = (),
    ) -> None:
        self.label_maps, self.tables, self.brain = label_maps, tables, brain
        self.hidden_labels, self.scans = hidden_labels, scans
        self.boxes = brain_boxes(label_maps, brain)

    def draw(
        self, config: EpisodeConfig, subjects: int, generator: torch.Generator, name: str | None = None
    ) -> EpisodeDraw:
        """Draw an episode of a target and `subjects` - 1 examples. name: of the task, drawn if None."""
        name = name or draw_task_name(generator, config.excluded_tasks)
        task = TASKS[name]
        augmentation = draw_task_augmentation(task.augmentations, generator)
        if not config.augment:
            augmentation = dataclasses.replace(augmentation, names=())
        as_slab = task.max_images == 3 and draw.chance(generator, config.slab_probability)
        several = not as_slab and draw.chance(generator, config.multi_contrast_probability)
        slices = config.slices if as_slab else dataclasses.replace(config.slices, depth=1)
        inputs = draw.integer(generator, 2, task.max_images) if several else 1
        scanned = self._draw_scanned(inputs, name, augmentation.names, generator)
        inputs = len(scanned) - task.output_contrasts if scanned else inputs
        planes = tuple((0, n) for n in range(slices.depth)) if as_slab else tuple((c, 0) for c in range(inputs))
        slab = draw_slab(slices, subjects, len(self.label_maps), generator)
        synthetic = 0.0 if "synthetic modality" in augmentation.names else config.appearance.contrast.table_probability
        output = 0.0 if name == "simulated transfer" else 1.0
        options = AppearanceOptions(
            () if scanned else (synthetic,) * inputs + (output,) * task.output_contrasts,
            draw_contrast_sharing(name, generator),
            biased=not task.output_contrasts and name != "denoising",
            may_strip=name != "skull stripping",
        )
        appearance = draw_appearance(config.appearance, self.tables, subjects, options, generator)
        first = dataclasses.replace(slab, subjects=slab.subjects[:1])
        target = slab_labels(first, self.label_maps, self.boxes)[0, slab.depth // 2]
        setting = TaskSetting(
            subjects, inputs + task.output_contrasts, planes, self.tables.groups, tuple(self.hidden_labels)
        )
        return EpisodeDraw(slab, appearance, draw_task(name, target, setting, augmentation, generator), scanned)

    def _draw_scanned(
        self, inputs: int, name: str, augmentations: Sequence[str], generator: torch.Generator
    ) -> tuple[int, ...]:
        """Draw the scanned contrasts to show, in order; () if there are too few, or if synthetic ones are required."""
        outputs = TASKS[name].output_contrasts
        available = len(self.scans[0]) if self.scans else 0
        needed = min(inputs, max(1, available - outputs)) + outputs
        if needed > available or name == "simulated transfer" or "synthetic modality" in augmentations:
            return ()
        return tuple(torch.randperm(available, generator=generator)[:needed].tolist())

    def subjects(self, record: EpisodeDraw) -> Subjects:
        """Return the subjects of an episode, before its task is applied."""
        labels = slab_labels(record.slab, self.label_maps, self.boxes)
        if not record.scanned_contrasts:
            return render_subjects(labels, record.appearance, self.brain)
        images = [
            warp_image(
                self.scans[subject.subject][None, list(record.scanned_contrasts)],
                slab_index(record.slab, subject, self.boxes[subject.subject])[None],
            )
            for subject in record.slab.subjects
        ]
        inside = self.brain[labels.long()]
        scans = torch.cat(images)
        return Subjects(labels, scans * inside[:, None] if record.appearance.skull_stripped else scans, inside)

    def make(self, record: EpisodeDraw) -> Episode:
        """Return the episode of a draw."""
        return apply_task(record.task, self.subjects(record))
