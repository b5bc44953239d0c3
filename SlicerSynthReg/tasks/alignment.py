"""Registration of two scans from raw headers: search, affine, SynthMorph's velocity, refinement on the pair.

1. Each scan alone goes through the network: 16 features a voxel that do not depend on the contrast, and where the
   anatomy is. 2. Search over rotations and translations, then Gauss-Newton for 12 parameters, on those features.
3. The moving scan is brought to the fixed scan's box and seen again; the matching network gives a velocity.
4. Gauss-Newton on features, and on local contrast where the two scans share it, refines that velocity.
The map is affine o exp(v): exact to invert, and without folds.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.methods.instance.affine import AffineConfig, fit_affine
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.demons import DemonsConfig, refine
from SlicerSynthReg.methods.instance.search import SearchConfig, search
from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.space.grid import Grid, index_lattice
from SlicerSynthReg.space.sampling import sample_displaced
from SlicerSynthReg.space.transform import Affine, Composite, Transform, Velocity
from SlicerSynthReg.tasks.prepare import Scan, SeenScan, local_contrast, middle_channels, see, standardised
from SlicerSynthReg.volume.volume import Volume

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class AlignmentConfig:
    """regularization: 1 is the default smoothness, higher is smoother. network, refine, affine_only: which stages run.
    coarse, fine: refinement on the channels. same_contrast: instead of `fine` where the two scans' local contrast,
    coarsely aligned, correlates by more than `shared`. margin_mm: kept around the fixed anatomy."""

    regularization: float = 1.0
    network: bool = True
    refine: bool = True
    affine_only: bool = False
    search: SearchConfig = field(default_factory=SearchConfig)
    heat: AffineConfig = field(default_factory=lambda: AffineConfig(12, 6, 1500))
    affine: AffineConfig = field(default_factory=AffineConfig)
    rounds: int = 2
    coarse: DemonsConfig = field(default_factory=lambda: DemonsConfig((4, 2), (20, 15), elastic=0.7, fluid=1.0))
    fine: DemonsConfig = field(default_factory=lambda: DemonsConfig((2, 1), (5, 6), elastic=0.8, fluid=1.0))
    same_contrast: DemonsConfig = field(default_factory=lambda: DemonsConfig((2, 1), (10, 12), elastic=0.5, fluid=0.7))
    shared: float = 0.25
    margin_mm: float = 12.0


@dataclass(frozen=True, eq=False)
class Alignment:
    """transform: fixed RAS -> moving RAS. affine: its linear part (4x4). similarity_before, similarity_after: mean
    cosine of the two scans' features inside the anatomy, after the affine stage and at the end."""

    transform: Transform
    affine: np.ndarray
    velocity: Velocity | None
    seconds: dict[str, float]
    similarity_before: float
    similarity_after: float
    warnings: tuple[str, ...] = ()


class Stopwatch:
    """Seconds by stage, and the word to the user at each start."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.seconds = progress, dict[str, float]()
        self._name, self._since = "", time.monotonic()

    def stage(self, name: str, share: float) -> None:
        """End the running stage and begin `name`, `share` of the whole being done."""
        self.end()
        self._name, self._since = name, time.monotonic()
        self.progress(share, name)

    def end(self) -> None:
        if self._name:
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + time.monotonic() - self._since
            self._name = ""


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
    """Register `moving` to `fixed`; spacing: voxel size in mm that `model` was trained for.

    model: None compares MIND descriptors instead of learned features, and uses no network.

    initial: transform fixed RAS -> moving RAS to start from instead of the search (its best affine is refined).
    """
    watch = Stopwatch(progress)
    with torch.inference_mode():
        watch.stage("preparing the scans", 0.02)
        scans = standardised(fixed, fixed_mask, spacing), standardised(moving, moving_mask, spacing)
        watch.stage("looking at the scans", 0.1)
        seen = see(model, scans[0]), see(model, scans[1])
        watch.stage("affine", 0.3)
        matrix, warnings = _affine(model, scans, seen, config, initial)
        box = _box(seen[0].fine, config)
        f_channels, m_channels = seen[0].fine.on(box), seen[1].fine.on(box, matrix)
        before = cosine(f_channels, m_channels)
        if config.affine_only:
            watch.end()
            return Alignment(Affine(matrix), matrix, None, watch.seconds, before, before, warnings)
        start = None
        watch.stage("looking again, aligned", 0.45)
        again = see(model, scans[0].on(box)), see(model, scans[1].on(box, matrix))
        f_channels, m_channels = again[0].fine, again[1].fine
        if model is not None and config.network and again[0].features and again[1].features:
            watch.stage("deformation by the network", 0.55)
            start = model.velocity(again[0].features.levels, again[1].features.levels, config.regularization)[0]
        watch.stage("refinement", 0.6)
        v = _deformation(f_channels, m_channels, scans, matrix, start, config, watch)
        velocity = Velocity(v, box.scaled_down(2), config.coarse.squarings)
        watch.stage("checking", 0.95)
        transform = Composite((velocity, Affine(matrix)))
        after = cosine(f_channels, _moved(m_channels, velocity))
    watch.end()
    return Alignment(transform, matrix, velocity, watch.seconds, before, after, warnings)


def _affine(
    model: SynthMorph | None,
    scans: tuple[Scan, Scan],
    seen: tuple[SeenScan, SeenScan],
    config: AlignmentConfig,
    initial: Transform | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """4x4 fixed RAS -> moving RAS: the search's candidates race on few voxels; the best is fitted on many, looking at
    the moving scan again, turned upright, in each round."""
    fixed, moving = seen
    if initial is not None:
        matrix = best_affine(initial, fixed.middle)
    else:
        starts = [matrix for _, matrix in search(fixed.coarse, moving.coarse, config.search)]
        heats = [fit_affine(fixed.steady, moving.steady, start, config.heat) for start in starts]
        matrix = min(heats, key=lambda heat: heat.residual).matrix
    for _ in range(config.rounds):
        upright = middle_channels(model, scans[1].on(_frame(scans[0].grid), matrix))
        matrix = matrix @ fit_affine(fixed.middle, upright, np.eye(4), config.affine).matrix
    scale = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    warnings = []
    if scale.max() > 1.5 or scale.min() < 0.6:
        warnings.append(
            f"The affine part stretches by {scale.min():.2f} to {scale.max():.2f}, expected about 1. The scans may "
            "show different anatomy, or overlap too little: look at the picture before you use the result."
        )
    return matrix, tuple(warnings)


def _frame(grid: Grid, margin: int = 10) -> Grid:
    """The fixed grid with room around it, so that what lies near its faces is seen whole."""
    return grid.cropped((-margin,) * 3, tuple(n + margin for n in grid.shape))


def best_affine(transform: Transform, fixed: Channels) -> np.ndarray:
    """The 4x4 that fits `transform` best where the fixed scan counts (least squares)."""
    inside = (fixed.weight > 0.3).nonzero().numpy()
    points = fixed.grid.index_to_world(
        inside[:: max(1, len(inside) // 2000)] if len(inside) > 10 else fixed.grid.corner_indices()
    )
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    solution = np.linalg.lstsq(homogeneous, transform.map_points(points), rcond=None)[0]
    return np.vstack([solution.T, [0, 0, 0, 1]])


def _box(fixed: Channels, config: AlignmentConfig) -> Grid:
    """The fixed anatomy and a margin, its counts divisible by 8 so that every level pools evenly; may reach out of
    the image."""
    box = fixed.bounding_box(0.3, config.margin_mm)
    grown = box.padded_to_multiple(8)
    half = tuple((g - b) // 2 for g, b in zip(grown.shape, box.shape))
    return box.cropped(tuple(-h for h in half), tuple(g - h for g, h in zip(grown.shape, half)))


def _deformation(
    fixed: Channels,
    moving: Channels,
    scans: tuple[Scan, Scan],
    matrix: np.ndarray,
    start: torch.Tensor | None,
    config: AlignmentConfig,
    watch: Stopwatch,
) -> torch.Tensor:
    """Velocity (3, I/2, J/2, K/2) on the fixed box, in voxels of that half grid."""
    if not config.refine:
        return start if start is not None else torch.zeros(3, *(n // 2 for n in fixed.weight.shape))
    v = refine(
        fixed,
        moving,
        start,
        with_regularization(config.coarse, config.regularization),
        lambda done: watch.progress(0.6 + 0.1 * done, "refinement"),
    )
    f_image, m_image = scans[0].on(fixed.grid).image, scans[1].on(fixed.grid, matrix).image
    half = fixed.grid.scaled_down(2)
    moved = _moved(Channels(m_image[None], moving.weight, fixed.grid), Velocity(v, half, config.coarse.squarings))
    demons = config.fine
    if shared_contrast(f_image, moved.values[0], fixed.weight * moved.weight) > config.shared:
        demons = config.same_contrast
        fixed = Channels(local_contrast(f_image), fixed.weight, fixed.grid)
        moving = Channels(local_contrast(m_image), moving.weight, fixed.grid)
    return refine(
        fixed,
        moving,
        v,
        with_regularization(demons, config.regularization),
        lambda done: watch.progress(0.7 + 0.25 * done, "refinement"),
    )


def shared_contrast(fixed: torch.Tensor, moving: torch.Tensor, weight: torch.Tensor) -> float:
    """How far the local contrast of two roughly aligned images agrees: correlation of `local_contrast`, at least 0."""
    a, b = local_contrast(fixed), local_contrast(moving)
    num = float((a * b * weight).sum())
    return max(0.0, num / (float((a * a * weight).sum() * (b * b * weight).sum()) ** 0.5 + 1e-6))


def with_regularization(config: DemonsConfig, regularization: float) -> DemonsConfig:
    """Diffusion for a time proportional to the weight: the SDs grow with its square root."""
    return dataclasses.replace(config, elastic=config.elastic * regularization**0.5)


def cosine(a: Channels, b: Channels) -> float:
    """Weighted mean of the channels' scalar product: 1 for equal unit-length features."""
    weight = a.weight * b.weight
    return float(((a.values * b.values).sum(0) * weight).sum() / weight.sum().clamp_min(1e-6))


def _moved(moving: Channels, velocity: Velocity) -> Channels:
    dense = velocity.on(moving.grid)
    stack = torch.cat([moving.values, moving.weight[None]])[None]
    moved = sample_displaced(stack, dense.u_vox[None], index_lattice(moving.grid.shape))[0]
    return Channels(moved[:-1], moved[-1], moving.grid)
