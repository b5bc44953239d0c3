"""Topological change in memory: `topological_change`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from SlicerSynthReg.api.images import ImageLike, TransformLike, as_image, as_transform
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_images
from SlicerSynthReg.parameters.derived_images import TopologyParameters
from SlicerSynthReg.progress import Progress, no_progress, sub_progress
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.topology.pipeline import TopologyModel, change_maps
from SlicerSynthReg.weights.selection import topology_card

PERCENTILES = (50, 90, 95, 98, 99)
CHANGES, OUTLIERS = "changes", "outliers"


@dataclass(frozen=True)
class TopologyReport:
    """model: name. map: "changes", or "outliers" with controls: the map that was thresholded. threshold_value: its
    value at the percentile. marked_ml: volume of the mask. percentiles: of the map in the foreground."""

    model: str
    map: str
    threshold_value: float
    marked_ml: float
    percentiles: dict[str, float]


@dataclass(frozen=True, eq=False)
class TopologicalChange:
    """Result of `topological_change`; all images on the fixed image's grid, maps 0 outside its foreground.

    score: each voxel's part of the negative bound on the likelihood (thesis paper 3). log_jacobian: (log |det J|)^2 of
    the deformation. mismatch: squared difference away from edges (Li and Wyatt 2010). outliers: score less what is
    usual among the controls, None without them. mask: label map, 1 above the threshold.
    """

    score: Image
    log_jacobian: Image
    mismatch: Image
    outliers: Image | None
    mask: Image
    report: TopologyReport

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the run; there are none yet."""
        return ()

    @property
    def images(self) -> dict[str, Image]:
        """Every image of the result by its output name."""
        images = {
            CHANGES: self.score,
            "stretching": self.log_jacobian,
            "mismatch": self.mismatch,
            OUTLIERS: self.outliers,
            "marked": self.mask,
        }
        return {name: image for name, image in images.items() if image is not None}

    def save(self, folder: str | os.PathLike[str], images: bool = True) -> dict[str, str]:
        """Write the images, if wanted, into `folder`; return output name -> file name. Raises OSError."""
        return write_images(self.images, folder) if images else {}


def topological_change(
    fixed: ImageLike,
    moving: ImageLike,
    *,
    transform: TransformLike | None = None,
    controls: Sequence[ImageLike] = (),
    parameters: TopologyParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> TopologicalChange:
    """Find where two aligned images differ as no smooth deformation explains, such as at a lesion or a resection.

    moving: in the contrast of `fixed`. transform: aligns them, fixed RAS mm -> moving RAS mm; None for a moved image.
    controls: two or more images of healthy subjects, aligned with `fixed`; what is usual among them is subtracted.
    options: fields of TopologyParameters. Raises RequestError (code "too-few-controls", "controls-type"), GeometryError
    ("no-overlap", "control-no-overlap"), ImageError, WeightsError.
    """
    parameters = resolve_parameters(TopologyParameters, parameters, options)
    if not isinstance(controls, (list, tuple)):
        raise RequestError(
            f"Found controls of type {type(controls).__name__}, expected a list of two or more images.",
            code="controls-type",
        )
    if len(controls) == 1:
        raise RequestError(
            "Found 1 control image, expected none, or two or more of healthy subjects, aligned with the fixed image.",
            code="too-few-controls",
        )
    card, device = topology_card(parameters.model), select_device(parameters.device, parameters.threads)
    progress(0.02, "reading")
    image, other = as_image(fixed), as_image(moving)
    alignment = None if transform is None else as_transform(transform, image.grid)
    model = TopologyModel.load(card, device)
    group = [as_image(control) for control in controls]
    maps = change_maps(model, image, other, alignment, group, sub_progress(progress, 0.05, 0.95))
    chosen = maps.score if maps.outliers is None else maps.outliers
    values = chosen.data[maps.foreground].numpy()
    threshold = float(np.percentile(values, parameters.threshold)) if len(values) else float("inf")
    marked = ((chosen.data > threshold) & maps.foreground).to(torch.uint8)
    voxel_ml = abs(float(np.linalg.det(image.grid.affine[:3, :3]))) / 1000
    report = TopologyReport(
        model=card.name,
        map=CHANGES if maps.outliers is None else OUTLIERS,
        threshold_value=threshold,
        marked_ml=round(int(marked.sum()) * voxel_ml, 3),
        percentiles={str(p): float(np.percentile(values, p)) for p in PERCENTILES} if len(values) else {},
    )

    def masked(values: Image) -> Image:
        return Image(values.data * maps.foreground, image.grid, name=image.name)

    return TopologicalChange(
        score=masked(maps.score),
        log_jacobian=masked(maps.log_jacobian),
        mismatch=masked(maps.mismatch),
        outliers=None if maps.outliers is None else masked(maps.outliers),
        mask=Image(marked, image.grid, "labels", image.name),
        report=report,
    )
