"""A whole question: people, slices, contrasts and the task, as one record that rebuilds it from the same maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.augment import draw_augment
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.synth.deform import warp_image
from SlicerSynthReg.synth.people import LookConfig, LookDraw, People, draw_looks, render_people
from SlicerSynthReg.synth.slices import CutDraw, SliceConfig, cut_index, cut_labels, draw_cut, extents
from SlicerSynthReg.synth.tasks import TASKS, Question, TaskDraw, draw_name, draw_sharing, draw_task, make_task


@dataclass(frozen=True)
class QuestionConfig:
    """neighbours: chance that the channels show the slices above and below instead of other contrasts. several: chance
    of more than one contrast. without: tasks left out. augmented: whether there are task augmentations."""

    slices: SliceConfig = field(default_factory=SliceConfig)
    looks: LookConfig = field(default_factory=LookConfig)
    neighbours: float = 0.3
    several: float = 0.25
    without: tuple[str, ...] = ()
    augmented: bool = True


@dataclass(frozen=True)
class QuestionDraw:
    """One question: its slices, contrasts, and task. real: which of the scanned contrasts are shown; none: rendered."""

    cut: CutDraw
    looks: LookDraw
    task: TaskDraw
    real: tuple[int, ...] = ()


class Source:
    """Label maps (I, J, K) uint8 of one numbering, and what is known of it.

    brain (L,) bool: which indices are the brain. hidden: indices that no mask is made of. scans: for each map the
    person's images (C, I, J, K) in [0, 1], the same C contrasts for all; without them contrasts are rendered.
    """

    def __init__(
        self,
        maps: Sequence[torch.Tensor],
        looks: Looks,
        brain: torch.Tensor,
        hidden: Sequence[int] = (),
        scans: Sequence[torch.Tensor] = (),
    ) -> None:
        self.maps, self.looks, self.brain, self.hidden, self.scans = maps, looks, brain, hidden, scans
        self.boxes = extents(maps, brain)

    def draw(
        self, config: QuestionConfig, people: int, generator: torch.Generator, name: str | None = None
    ) -> QuestionDraw:
        """A question for a target and `people` - 1 examples; name: of the task, drawn if not given."""
        name = name or draw_name(generator, config.without)
        kind = TASKS[name]
        augment = draw_augment(kind.tree, generator)
        if not config.augmented:
            augment = dataclasses.replace(augment, names=())
        neighbours = kind.images == 3 and draw.chance(generator, config.neighbours)
        several = not neighbours and draw.chance(generator, config.several)
        slices = config.slices if neighbours else dataclasses.replace(config.slices, depth=1)
        inputs = draw.integer(generator, 2, kind.images) if several else 1
        real = self._scanned(inputs, kind.outputs, name, augment.names, generator)
        inputs = len(real) - kind.outputs if real else inputs
        planes = tuple((0, n) for n in range(slices.depth)) if neighbours else tuple((c, 0) for c in range(inputs))
        like = 0.0 if "synthetic modality" in augment.names else config.looks.contrast.scan_like
        scan_like = (like,) * inputs + ((0.0 if name == "simulated transfer" else 1.0),) * kind.outputs
        cut = draw_cut(slices, people, len(self.maps), generator)
        looks = draw_looks(
            config.looks,
            self.looks,
            people,
            () if real else scan_like,
            draw_sharing(name, generator),
            not kind.outputs and name != "denoising",
            name != "skull stripping",
            generator,
        )
        target = cut_labels(dataclasses.replace(cut, people=cut.people[:1]), self.maps, self.boxes)[0, cut.depth // 2]
        contrasts = inputs + kind.outputs
        groups = self.looks.groups
        task = draw_task(name, target, people, contrasts, planes, augment, groups, generator, self.hidden)
        return QuestionDraw(cut, looks, task, real)

    def _scanned(
        self, inputs: int, outputs: int, name: str, changes: Sequence[str], generator: torch.Generator
    ) -> tuple[int, ...]:
        """Which scanned contrasts are shown, in order; none where there are too few, or where rendered ones are
        wanted."""
        known = len(self.scans[0]) if self.scans else 0
        wanted = min(inputs, max(1, known - outputs)) + outputs
        if wanted > known or name == "simulated transfer" or "synthetic modality" in changes:
            return ()
        return tuple(torch.randperm(known, generator=generator)[:wanted].tolist())

    def people(self, record: QuestionDraw) -> People:
        """Whom the question shows."""
        labels = cut_labels(record.cut, self.maps, self.boxes)
        if not record.real:
            return render_people(labels, record.looks, self.brain)
        images = [
            warp_image(
                self.scans[one.person][None, list(record.real)],
                cut_index(record.cut, one, self.boxes[one.person])[None],
            )
            for one in record.cut.people
        ]
        inside = self.brain[labels.long()]
        seen = torch.cat(images)
        return People(labels, seen * inside[:, None] if record.looks.stripped else seen, inside)

    def make(self, record: QuestionDraw) -> Question:
        """The question that was drawn."""
        return make_task(record.task, self.people(record))
