"""Registration of any anatomy, without a network for it: placing, coupled convex search, instance optimisation.

1. Both scans at one isotropic voxel size, as fine as they are or as the number of voxels allows (a pyramid's top, for
large ones). 2. Starts race, the best is fitted (tasks/anywhere_placing.py). 3. The convex search brings what is still
far away within reach. 4. From there, Gauss-Newton on channels, or Adam on whatever similarity was asked for.
The map is affine o exp(v_search) o exp(v): no folds, and the exact inverse, as for the brain.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.methods.instance.adam import AdamConfig, optimise
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.convex import ConvexConfig, convex_search
from SlicerSynthReg.methods.instance.demons import DemonsConfig, refine
from SlicerSynthReg.methods.instance.similarity import Similarity
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Composite, Transform, Velocity
from SlicerSynthReg.tasks.alignment import Alignment
from SlicerSynthReg.tasks.anywhere_placing import AnywherePlacing, place_anywhere
from SlicerSynthReg.tasks.anywhere_scans import (
    LEAST_COUNTING,
    coarsened,
    common_spacing,
    is_ct,
    kinds_of_tissue,
    require_content,
)
from SlicerSynthReg.tasks.deforming import DeformingConfig, agreement, deform, moved_channels, smoother
from SlicerSynthReg.tasks.prepare import Side, box_of, counting, local_contrast, standardised
from SlicerSynthReg.tasks.stopwatch import Progress, Stopwatch
from SlicerSynthReg.volume.volume import Volume, VolumeError


@dataclass(frozen=True)
class Anatomy:
    """What a preset knows of its pairs. one_modality: local contrast and brightness may agree, and the sides are
    compared finely. convex: the search, its steps and reach in voxels of the comparison in place of mm. loose:
    Gauss-Newton's levels and smoothness where only MIND is compared, for finer detail of two modalities is not the same
    anatomy's. most_voxels: that are worth comparing. finer: voxel size in shares of the coarser image's. deforming:
    Gauss-Newton where one modality is compared."""

    one_modality: bool
    most_voxels: int = 500_000
    finer: float = 1.0
    placing: AnywherePlacing = field(default_factory=AnywherePlacing)
    convex: ConvexConfig = field(default_factory=lambda: ConvexConfig(levels=((4.0, 12.0), (2.0, 4.0))))
    loose: DemonsConfig = field(
        default_factory=lambda: DemonsConfig((4, 2), (12, 12), finest=2, elastic=2.5, fluid=1.0)
    )
    deforming: DeformingConfig = field(default_factory=DeformingConfig)


_SMOOTH = ConvexConfig(levels=((4.0, 12.0),), smooth=2.5)
_ONE_PATIENT = AnywherePlacing(trusted=0.15)
_SLIDING = DeformingConfig(same_contrast=DemonsConfig((1,), (10,), finest=2, elastic=0.25, alpha=0.5))
"""For CT: a velocity at twice the voxel size says as much of breathing as one at each voxel, for half the work. (The
folds of two brains ask for the finer one.)"""
ANATOMIES = {
    "ct": Anatomy(True, 6_000_000, 0.8, deforming=_SLIDING),
    "alike": Anatomy(True),
    "mr-ct": Anatomy(False, placing=_ONE_PATIENT, convex=_SMOOTH),
    "other": Anatomy(False, placing=_ONE_PATIENT, convex=_SMOOTH),
}


@dataclass(frozen=True)
class AnywhereConfig:
    """anatomy: one of ANATOMIES. similarity: what Adam compares, None for Gauss-Newton on what the anatomy suggests.
    regularization: 1 is the default smoothness, higher is smoother. last: whether Gauss-Newton's last level runs.
    most_voxels: of the fixed image's field of view, or the anatomy's, if those are fewer. margin: voxels kept about
    what counts of the fixed image."""

    anatomy: str = "other"
    similarity: Similarity | None = None
    regularization: float = 1.0
    refine: bool = True
    affine_only: bool = False
    last: bool = True
    adam: AdamConfig = field(default_factory=AdamConfig)
    most_voxels: int = 6_000_000
    margin: int = 4
    device: str = "cpu"


def align_anywhere(
    fixed: Volume,
    moving: Volume,
    config: AnywhereConfig,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    initial: Transform | None = None,
    progress: Progress = lambda share, text: None,
) -> Alignment:
    """Register `moving` to `fixed`; masks: what may count, and with it the automatic foreground. initial: transform
    fixed RAS -> moving RAS to start from (its best affine is refined). VolumeError where nothing is left that counts.
    """
    anatomy, watch = ANATOMIES[config.anatomy], Stopwatch(progress)
    with torch.inference_mode():
        watch.stage("preparing the scans", 0.02)
        spacing = common_spacing(fixed.grid, moving.grid, min(config.most_voxels, anatomy.most_voxels), anatomy.finer)
        ct = is_ct(fixed), is_ct(moving)
        scans = [
            standardised(coarsened(volume, spacing, tomography), mask, spacing)
            for volume, mask, tomography in zip((fixed, moving), (fixed_mask, moving_mask), ct)
        ]
        for name, scan in zip(("fixed", "moving"), scans):
            require_content(name, scan)
        watch.stage("affine", 0.15)
        kinds = None
        if all(ct):
            kinds = kinds_of_tissue(fixed, 5 * spacing), kinds_of_tissue(moving, 5 * spacing)
        matrix, warnings = place_anywhere(scans[0], scans[1], kinds, anatomy.placing, initial)
        box = box_of(scans[0], config.margin * spacing)
        sides = [Side(one.image, counting(one), None) for one in (scans[0].on(box), scans[1].on(box, matrix))]
        if float((sides[0].weight * sides[1].weight).sum()) < LEAST_COUNTING:
            raise VolumeError(
                "Found no place that both images show, expected scans of the same part of the body. Start from "
                "landmark pairs or an initial transform, or check the masks and both headers."
            )
        f, m = (Channels(local_contrast(side.image), side.weight, box) for side in sides)
        flows: tuple[Velocity, ...] = ()
        if config.refine and not config.affine_only:
            flows = _flows(sides, box, anatomy, config, watch)
        watch.stage("checking", 0.95)
        before, moved = abs(agreement(f, m)), m
        for flow in reversed(flows):
            moved = moved_channels(moved, flow)
        transform = Composite((*flows, Affine(matrix))) if flows else Affine(matrix)
        after = abs(agreement(f, moved))
    watch.end()
    return Alignment(transform, matrix, flows[0] if flows else None, watch.seconds, before, after, warnings)


def _flows(
    sides: list[Side], box: Grid, anatomy: Anatomy, config: AnywhereConfig, watch: Stopwatch
) -> tuple[Velocity, Velocity]:
    """The refinement's flow, and the search's that it is followed by: what the search bridged is not drawn back by the
    refinement's smoothing, which would forget its start."""
    fixed, moving = (side.to(config.device) for side in sides)
    watch.stage("convex search", 0.3)
    voxel = float(box.spacing[0])
    seen = [Channels(_searched(side, anatomy), side.weight, box).pooled(2) for side in (fixed, moving)]
    levels = tuple((step * voxel, reach * voxel) for step, reach in anatomy.convex.levels)
    smooth = anatomy.convex.smooth * config.regularization**0.5
    search = dataclasses.replace(anatomy.convex, levels=levels, smooth=smooth)
    v = convex_search(seen[0], seen[1], search, None, lambda done: watch.progress(0.3 + 0.2 * done, "convex search"))
    coarse = Velocity(v, box.scaled_down(2))
    image = moved_channels(Channels(moving.image[None], moving.weight, box), coarse)
    moving = Side(image.values[0], image.weight, None)
    watch.stage("refinement", 0.5)

    def told(done: float) -> None:
        watch.progress(0.5 + 0.45 * done, "refinement")

    if config.similarity is not None:
        f, m = (Channels(config.similarity.channels(side.image), side.weight, box) for side in (fixed, moving))
        adam = dataclasses.replace(config.adam, diffusion=config.adam.diffusion * config.regularization)
        v = optimise(f, m, config.similarity, None, adam, told)
    elif anatomy.one_modality:
        deforming = dataclasses.replace(anatomy.deforming, last=config.last)
        v = deform(fixed, moving, box, None, config.regularization, deforming, told).velocity.v_vox
    else:
        f, m = (Channels(mind_ssc(side.image[None, None])[0], side.weight, box) for side in (fixed, moving))
        v = refine(f, m, None, smoother(anatomy.loose, config.regularization), told)
    fine = Velocity(v.cpu(), box.scaled_down(box.shape[0] // v.shape[1]))
    return fine, Velocity(coarse.v_vox.cpu(), coarse.grid)


def _searched(side: Side, anatomy: Anatomy) -> torch.Tensor:
    """The channels that the convex search compares."""
    mind = mind_ssc(side.image[None, None])[0]
    return torch.cat([mind, local_contrast(side.image)]) if anatomy.one_modality else mind
