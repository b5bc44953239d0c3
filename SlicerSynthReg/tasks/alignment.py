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
from SlicerSynthReg.tasks.prepare import Scan, local_contrast, see, standardised
from SlicerSynthReg.volume.volume import Volume

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class AlignmentConfig:
    """regularization: 1 is the default smoothness, higher is smoother. network, refine, affine_only: which stages run.
    fine_spacing: both scans at or below this voxel size (mm) are refined at 1 mm as well."""

    regularization: float = 1.0
    network: bool = True
    refine: bool = True
    affine_only: bool = False
    fine_spacing: float = 1.3
    search: SearchConfig = field(default_factory=SearchConfig)
    affine: AffineConfig = field(default_factory=AffineConfig)
    demons: DemonsConfig = field(default_factory=DemonsConfig)
    margin_mm: float = 12.0
    contrast_share: float = 1.0


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
    model: SynthMorph,
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

    initial: transform fixed RAS -> moving RAS to start from instead of the search (its best affine is refined).
    """
    watch = Stopwatch(progress)
    with torch.inference_mode():
        watch.stage("preparing the scans", 0.02)
        scans = standardised(fixed, fixed_mask, spacing), standardised(moving, moving_mask, spacing)
        watch.stage("looking at the scans", 0.1)
        seen = see(model, scans[0]), see(model, scans[1])
        watch.stage("affine", 0.3)
        matrix, warnings = _affine(seen[0].channels, seen[1].channels, config, initial)
        box = _box(seen[0].channels, config)
        f_channels, m_channels = seen[0].channels.on(box), seen[1].channels.on(box, matrix)
        before = cosine(f_channels, m_channels)
        if config.affine_only:
            watch.end()
            return Alignment(Affine(matrix), matrix, None, watch.seconds, before, before, warnings)
        watch.stage("deformation by the network", 0.45)
        start = None
        if config.network:
            again = see(model, scans[0].on(box)), see(model, scans[1].on(box, matrix))
            start = model.velocity(again[0].features.levels, again[1].features.levels, config.regularization)[0]
            f_channels, m_channels = again[0].channels, again[1].channels
        watch.stage("refinement", 0.6)
        v = _deformation(f_channels, m_channels, scans, matrix, start, config, watch)
        velocity = Velocity(v, box.scaled_down(2), config.demons.squarings)
        watch.stage("checking", 0.95)
        transform = Composite((velocity, Affine(matrix)))
        after = cosine(f_channels, _moved(m_channels, velocity))
    watch.end()
    return Alignment(transform, matrix, velocity, watch.seconds, before, after, warnings)


def _affine(
    fixed: Channels, moving: Channels, config: AlignmentConfig, initial: Transform | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """4x4 fixed RAS -> moving RAS, the best of the search's candidates after Gauss-Newton at twice the voxel size."""
    f, m = fixed.pooled(2), moving.pooled(2)
    if initial is not None:
        starts = [best_affine(initial, f)]
    else:
        starts = [matrix for _, matrix in search(fixed.pooled(5), moving.pooled(5), config.search)]
    fits = sorted((fit_affine(f, m, start, config.affine) for start in starts), key=lambda fit: fit.residual)
    scale = np.linalg.svd(fits[0].matrix[:3, :3], compute_uv=False)
    warnings = []
    if scale.max() > 1.5 or scale.min() < 0.6:
        warnings.append(
            f"The affine part stretches by {scale.min():.2f} to {scale.max():.2f}, expected about 1. The scans may show "
            "different anatomy, or overlap too little: look at the picture before you use the result."
        )
    return fits[0].matrix, tuple(warnings)


def best_affine(transform: Transform, fixed: Channels) -> np.ndarray:
    """The 4x4 that fits `transform` best where the fixed scan counts (least squares)."""
    inside = (fixed.weight > 0.3).nonzero().numpy()
    points = fixed.grid.index_to_world(inside[:: max(1, len(inside) // 2000)] if len(inside) > 10 else
                                       fixed.grid.corner_indices())
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
    f_image = scans[0].on(fixed.grid).image
    m_image = scans[1].on(fixed.grid, matrix).image
    share = config.contrast_share * shared_contrast(f_image, m_image, fixed.weight * moving.weight)
    if share > 0:
        fixed = with_contrast(fixed, f_image, share)
        moving = with_contrast(moving, m_image, share)
    demons = with_regularization(config.demons, config.regularization)
    return refine(fixed, moving, start, demons, lambda done: watch.progress(0.6 + 0.35 * done, "refinement"))


def shared_contrast(fixed: torch.Tensor, moving: torch.Tensor, weight: torch.Tensor) -> float:
    """How far the local contrast of two roughly aligned images agrees: correlation of `local_contrast`, at least 0."""
    a, b = local_contrast(fixed), local_contrast(moving)
    num = float((a * b * weight).sum())
    return max(0.0, num / (float((a * a * weight).sum() * (b * b * weight).sum()) ** 0.5 + 1e-6))


def with_contrast(channels: Channels, image: torch.Tensor, share: float) -> Channels:
    """One more channel: local contrast, weighted by the share."""
    extra = local_contrast(image)[None] * share
    return Channels(torch.cat([channels.values, extra]), channels.weight, channels.grid)


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
