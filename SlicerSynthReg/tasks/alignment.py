"""Registration of two scans from raw headers: brain, affine, SynthMorph's velocity, refinement on the pair.

1. The network looks at each scan: the brain it sees is what counts. 2. Search over rotations and translations,
then Gauss-Newton for 12 parameters. 3. Network and refinement look at the brain's box alone, the moving scan brought
upright into it: the matching network gives a velocity, Gauss-Newton on the pair itself refines it.
The map is affine o exp(v): exact to invert, and without folds. Without a network all tissue counts, and step 3 starts
from nothing.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.synthmorph.model import Features, SynthMorph
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.space.transform import Affine, Composite, Transform, Velocity
from SlicerSynthReg.tasks.anywhere_scans import require_content
from SlicerSynthReg.tasks.deforming import Deformed, DeformingConfig, agreement, deform, moved_channels, sharpen
from SlicerSynthReg.tasks.placing import PlacingConfig, place, touch_up
from SlicerSynthReg.tasks.prepare import Scan, Side, anatomy, box_of, counting, local_contrast, standardised
from SlicerSynthReg.tasks.stopwatch import Progress, Stopwatch
from SlicerSynthReg.volume.volume import Volume

_Volumes = tuple[Volume, "Volume | None", Volume, "Volume | None"]
"""Fixed scan and mask, moving scan and mask."""


class NotABrain(ValueError):
    """The network recognised no brain in a scan; the message says in which."""


@dataclass(frozen=True)
class AlignmentConfig:
    """regularization: 1 is the default smoothness, higher is smoother. network, refine, affine_only: which stages run.
    brains_only: NotABrain is raised where no brain is recognised in one of the scans. margin_mm: kept around what
    counts of the fixed scan. stripped: a scan of whose tissue more than this share is brain was stripped of the rest
    before (0.84 where it was; 0.35 to 0.51 in whole heads). fine: scans whose voxels are at most so many of the
    comparison's, along every axis, are compared once more at half of it, if that makes no more than `most_voxels`.
    device: where networks and refinement run."""

    regularization: float = 1.0
    network: bool = True
    refine: bool = True
    affine_only: bool = False
    brains_only: bool = False
    placing: PlacingConfig = field(default_factory=PlacingConfig)
    deforming: DeformingConfig = field(default_factory=DeformingConfig)
    margin_mm: float = 8.0
    stripped: float = 0.7
    fine: float = 0.75
    most_voxels: int = 12_000_000
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Alignment:
    """transform: fixed RAS -> moving RAS. affine: its linear part (4x4). similarity_before, similarity_after:
    correlation of the two scans' local contrast where both count, its sign left out, after the affine stage and at the
    end."""

    transform: Transform
    affine: np.ndarray
    velocity: Velocity | None
    seconds: dict[str, float]
    similarity_before: float
    similarity_after: float
    warnings: tuple[str, ...] = ()


def align(
    model: SynthMorph | None,
    spacing: float,
    fixed: Volume,
    moving: Volume,
    config: AlignmentConfig,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    initial: Transform | None = None,
    progress: Progress = lambda share, text: None,
) -> Alignment:
    """Register `moving` to `fixed`; spacing: voxel size in mm of the comparison, which `model` was trained for.

    model: None uses no network. initial: transform fixed RAS -> moving RAS to start from instead of the search (its
    best affine is refined).
    """
    volumes = fixed, fixed_mask, moving, moving_mask
    watch = Stopwatch(progress)
    model = None if model is None else model.to(config.device)
    with torch.inference_mode():
        watch.stage("preparing the scans", 0.02)
        scans = standardised(fixed, fixed_mask, spacing), standardised(moving, moving_mask, spacing)
        for name, scan in zip(("fixed", "moving"), scans):
            require_content(name, scan)
        watch.stage("looking at the scans", 0.1)
        heads, stripped, unknown = _heads(model, scans, config)
        watch.stage("affine", 0.15)
        closer = None if unknown or config.affine_only else model
        placing = config.placing if closer is None else dataclasses.replace(config.placing, rounds=1)
        matrix, warnings = place(heads[0], heads[1], placing, initial)
        box = box_of(heads[0], config.margin_mm)
        pair = heads[0].on(box), heads[1].on(box, matrix)
        features: list[Features] = []
        if closer is not None:
            watch.stage("looking at both, aligned", 0.4)
            features = [look(closer, scan, config) for scan in pair]
        sides = _sides(pair, features, stripped, box)
        if sides[0].structures is not None:
            watch.stage("affine", 0.45)
            step = touch_up(sides[0], sides[1], box, config.placing)
            matrix, sides = matrix @ step, (sides[0], sides[1].through(step, box))
        f, m = (Channels(local_contrast(side.image), side.weight, box) for side in sides)
        velocity, before = None, abs(agreement(f, m))
        if not config.affine_only:
            found = _velocity(model, features, sides, box, config, watch)
            velocity = None if found is None else found.velocity
            if found is not None and found.one_contrast and _fine_enough(volumes, box, config):
                watch.stage("refinement at half the voxel size", 0.75)
                velocity = _sharpened(volumes, matrix, found.velocity, sides, box, config, watch)
        watch.stage("checking", 0.95)
        transform = Affine(matrix) if velocity is None else Composite((velocity, Affine(matrix)))
        after = before if velocity is None else abs(agreement(f, moved_channels(m, velocity)))
    watch.end()
    return Alignment(transform, matrix, velocity, watch.seconds, before, after, unknown + warnings)


def look(model: SynthMorph, scan: Scan, config: AlignmentConfig) -> Features:
    """What the network sees in a scan."""
    return model.features(scan.image[None, None].to(config.device))


def _heads(
    model: SynthMorph | None, scans: tuple[Scan, Scan], config: AlignmentConfig
) -> tuple[tuple[Scan, Scan], tuple[bool, bool], tuple[str, ...]]:
    """The scans, counting only where the network sees their brains, and which of them were stripped of all else
    before: these count as they are, for their own outline is better than the network's. As they are, with a warning,
    where it does not see both, and without one where it knows shapes only."""
    if model is None or not model.config.labels:
        return scans, (False, False), ()
    brains = [anatomy(look(model, scan, config), scan.grid) for scan in scans]
    if brains[0] is None or brains[1] is None:
        which = " or ".join(name for name, brain in zip(("fixed", "moving"), brains) if brain is None)
        if config.brains_only:
            raise NotABrain(f"No brain was recognised in the {which} scan.")
        warning = f"No brain was recognised in the {which} scan: all tissue was aligned, without the network."
        return scans, (False, False), (warning,)
    heads = [scan.within(brain) for scan, brain in zip(scans, brains)]
    for name, head in zip(("fixed", "moving"), heads):
        require_content(name, head, "brain")
    first, second = (
        bool(counting(head).sum() > config.stripped * counting(scan).sum()) for head, scan in zip(heads, scans)
    )
    return (scans[0] if first else heads[0], scans[1] if second else heads[1]), (first, second), ()


def _sides(
    pair: tuple[Scan, Scan], features: list[Features], stripped: tuple[bool, bool], box: Grid
) -> tuple[Side, Side]:
    """Where the network, looking closer, sees both brains, these count; else what counted before."""
    brains = [anatomy(seen, box) for seen in features]
    if not brains or brains[0] is None or brains[1] is None:
        fixed, moving = (Side(scan.image, counting(scan), None) for scan in pair)
    else:
        fixed, moving = (
            Side(scan.image, counting(scan if bare else scan.within(brain)), seen.structures)
            for scan, bare, brain, seen in zip(pair, stripped, brains, features)
            if brain is not None
        )
    return fixed, moving


def _velocity(
    model: SynthMorph | None,
    features: list[Features],
    sides: tuple[Side, Side],
    box: Grid,
    config: AlignmentConfig,
    watch: Stopwatch,
) -> Deformed | None:
    start = None
    if model is not None and features and config.network:
        watch.stage("deformation by the network", 0.5)
        i, j, k = (n // 2 for n in box.shape)  # the network's grid may reach further
        start = model.velocity(features[0].levels, features[1].levels, config.regularization)[0, :, :i, :j, :k]
    if not config.refine:
        return None if start is None else Deformed(Velocity(start.cpu(), box.scaled_down(2)), False)
    watch.stage("refinement", 0.55)
    f, m = (side.to(config.device) for side in sides)
    found = deform(
        f,
        m,
        box,
        start,
        config.regularization,
        config.deforming,
        lambda done: watch.progress(0.55 + 0.2 * done, "refinement"),
    )
    return dataclasses.replace(found, velocity=_on_processor(found.velocity))


def _fine_enough(volumes: _Volumes, box: Grid, config: AlignmentConfig) -> bool:
    """Whether the scans can be compared at half the voxel size of `box`."""
    finest = max(float(volume.grid.spacing.max()) for volume in (volumes[0], volumes[2]))
    return finest <= config.fine * float(box.spacing.max()) and 8 * box.voxel_count <= config.most_voxels


def _sharpened(
    volumes: _Volumes,
    matrix: np.ndarray,
    start: Velocity,
    sides: tuple[Side, Side],
    box: Grid,
    config: AlignmentConfig,
    watch: Stopwatch,
) -> Velocity:
    """The flow once more at half the voxel size; what counts is taken over from the sides at full size."""
    grid = box.refined(2)
    finer = []
    for volume, through, side in ((volumes[0], None, sides[0]), (volumes[2], matrix, sides[1])):
        image = standardised(volume, None, float(grid.spacing.max())).on(grid, through).image
        finer.append(Side(image, resize(side.weight[None, None], grid.shape)[0, 0], None).to(config.device))
    velocity = sharpen(
        finer[0],
        finer[1],
        grid,
        start.v_vox.to(config.device),
        config.regularization,
        config.deforming,
        lambda done: watch.progress(0.75 + 0.2 * done, "refinement at half the voxel size"),
    )
    return _on_processor(velocity)


def _on_processor(velocity: Velocity) -> Velocity:
    return Velocity(velocity.v_vox.cpu(), velocity.grid, velocity.steps)
