"""Topological change between two aligned images: maps on the fixed image's grid.

Scanners differ in intensity scale: the moving image and the controls are matched to the histogram of the fixed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.errors import GeometryError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.intensity import match_histogram, rescale_intensity
from SlicerSynthReg.spatial.transform import Transform
from SlicerSynthReg.topology.change_maps import ControlGroup, li_wyatt, log_jacobian_squared
from SlicerSynthReg.topology.variational import (
    FeatureFunction,
    Topology,
    VariationalBound,
    feature_function,
    half_resolution,
    warp_features,
)
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.registry import Card

FOREGROUND = 0.05
"""Rescaled intensity above which the fixed image is foreground."""


@dataclass(frozen=True, eq=False)
class TopologyModel:
    """A network with the features it compares. spacing_mm: voxel size that it was trained at."""

    network: Topology
    features: FeatureFunction
    spacing_mm: float
    device: torch.device

    @classmethod
    def load(cls, card: Card, device: torch.device) -> TopologyModel:
        """Return the model of `card`. Raises WeightsError."""
        network = load_network(Topology, card).to(device)
        return cls(network, feature_function(network.config.features, str(device)), card.spacing_mm, device)

    def bound(self, i: torch.Tensor, j: torch.Tensor) -> VariationalBound:
        """Return the symmetric bound on log p(J | I)."""
        return self.network.symmetric_bound(i, j, self.features)

    def tensor(self, image: Image) -> torch.Tensor:
        """Return the first channel as (1, 1, I, J, K), rescaled to 0..1."""
        return rescale_intensity(image.data[:1])[None].to(self.device)

    def batch(self, volume: torch.Tensor) -> torch.Tensor:
        """Return a volume (1, 1, I, J, K) as the network takes it: its axial slices (K, 1, I, J) if that is 2-D."""
        return volume if self.network.config.dims == 3 else volume[0].permute(3, 0, 1, 2)


@dataclass(frozen=True, eq=False)
class ChangeMaps:
    """Maps on the fixed image's grid. score: each voxel's part of L_sym (thesis paper 3), higher is less likely.
    log_jacobian: (log |det J|)^2. mismatch: Li and Wyatt's. outliers: Q against the controls, None without.
    foreground: (1, I, J, K) bool, of the fixed image."""

    score: Image
    log_jacobian: Image
    mismatch: Image
    outliers: Image | None
    foreground: torch.Tensor


def change_maps(
    model: TopologyModel,
    fixed: Image,
    moving: Image,
    transform: Transform | None = None,
    controls: Sequence[Image] = (),
    progress: Progress = no_progress,
) -> ChangeMaps:
    """Compute the maps of topological change of `fixed` given `moving`.

    transform: fixed RAS mm -> moving RAS mm, None for images that are aligned. controls: none, or two or more images
    that are aligned with `fixed`. Raises GeometryError (codes "no-overlap", "control-no-overlap") for images apart.
    """
    ras = fixed.grid.aligned_to_ras(model.spacing_mm)
    grid = ras.cropped((0, 0, 0), tuple(n + n % 2 for n in ras.shape))
    j, i = model.tensor(fixed.resampled(grid)), model.tensor(moving.resampled(grid, transform))
    if float(i.max()) == 0:
        raise GeometryError(
            "Found no voxel of the moving image within the fixed one, expected two aligned images. Register them "
            "first, and pass the transform or the moved image.",
            code="no-overlap",
        )
    progress(0.1, "comparing the images")
    with torch.inference_mode():
        i, j = model.batch(match_histogram(i, j)), model.batch(j)
        bound = model.bound(i, j)
        maps = {
            "score": bound.score,
            "log_jacobian": log_jacobian_squared(bound.u),
            "mismatch": li_wyatt(warp_features(half_resolution(i), bound.u), half_resolution(j)),
        }
        if controls:
            progress(0.3, f"comparing with {len(controls)} controls")
            images = [match_histogram(model.batch(_control(model, image, grid)), j) for image in controls]
            maps["outliers"] = ControlGroup.from_images(images, model.bound).outlier_map(j, model.bound)
    results = {name: _image(values.cpu().float(), grid).resampled(fixed.grid) for name, values in maps.items()}
    foreground = rescale_intensity(fixed.data[:1]) > FOREGROUND
    return ChangeMaps(
        score=results["score"],
        log_jacobian=results["log_jacobian"],
        mismatch=results["mismatch"],
        outliers=results.get("outliers"),
        foreground=foreground,
    )


def _control(model: TopologyModel, image: Image, grid: Grid) -> torch.Tensor:
    values = model.tensor(image.resampled(grid))
    if float(values.max()) == 0:
        raise GeometryError(
            f"Found no voxel of the control image {image.name!r} within the fixed image, expected aligned images.",
            code="control-no-overlap",
        )
    return values


def _image(scores: torch.Tensor, grid: Grid) -> Image:
    """Return scores (1, I/2, J/2, K/2) of a volume, or (K, I/2, J/2) of its slices, as an image."""
    if scores.dim() == 4:
        return Image(scores, grid.downsampled(2))
    return Image(scores.permute(1, 2, 0)[None], grid.downsampled((2, 2, 1)))
