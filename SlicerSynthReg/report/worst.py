"""The location of the worst value of a result, in RAS mm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.manifest import MANIFEST
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.report.quality import WorstLocation

SMOOTHING_MM = 3.0
JACOBIAN = "jacobian"
MAPS = {"anomaly": "anomaly, probability", "cycle": "cycle error", "uncertainty": "uncertainty, bit"}
"""Outputs of commands for which higher is worse -> name of their values."""


def worst_difference(reference: Image, image: Image, mask: Image | None = None, unit: str = "") -> WorstLocation:
    """Return the maximum of |image - reference|, smoothed with a Gaussian of SMOOTHING_MM (SD).

    Both on one grid (GeometryError otherwise), first channels. mask: label map that restricts the search.
    """
    reference.grid.require_same(image.grid, "the image")
    difference = (image.data[0] - reference.data[0]).abs().double().cpu().numpy()
    smooth = gaussian_filter(difference, SMOOTHING_MM / reference.grid.spacing)
    if mask is not None:
        reference.grid.require_same(mask.grid, "the mask")
        smooth = np.where(mask.data[0].cpu().numpy() > 0, smooth, -np.inf)
    index = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return _place(reference, index, f"differs by {smooth[index]:.3g}{unit and ' ' + unit}")


def worst_overlap(reference: Image, labels: Image) -> WorstLocation | None:
    """Return the deepest point of the region where two label maps differ; None if they are equal."""
    reference.grid.require_same(labels.grid, "the labels")
    differ = np.pad((reference.data[0] != labels.data[0]).cpu().numpy(), 1)
    if not differ.any():
        return None
    depth = distance_transform_edt(differ, sampling=reference.grid.spacing)[1:-1, 1:-1, 1:-1]
    index = np.unravel_index(int(depth.argmax()), depth.shape)
    return _place(reference, index, f"labels differ, {depth[index]:.1f} mm deep")


def worst_jacobian(jacobian: Image) -> WorstLocation:
    """Return the minimum of a Jacobian map: folding, or the largest compression."""
    values = torch.nan_to_num(jacobian.data[0], nan=float("inf"))
    index = np.unravel_index(int(values.argmin()), values.shape)
    value = float(values[index])
    return _place(jacobian, index, f"{'folds' if value <= 0 else 'most compressed'}, Jacobian {value:.2f}")


def maximum_location(map_: Image, words: str) -> WorstLocation:
    """Return the maximum of a map (first channel), smoothed with a Gaussian of SMOOTHING_MM (SD)."""
    smooth = gaussian_filter(map_.data[0].double().cpu().numpy(), SMOOTHING_MM / map_.grid.spacing)
    index = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return _place(map_, index, f"{words} {smooth[index]:.3g}")


def worst_location(folder: Path) -> WorstLocation | None:
    """Return the worst location of a result, by the first of JACOBIAN and MAPS that it has; None without."""
    outputs = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("outputs", {})
    name = next((name for name in (JACOBIAN, *MAPS) if name in outputs), None)
    if name is None:
        return None
    found = read_image(folder / outputs[name], allow_degenerate=True)
    return worst_jacobian(found) if name == JACOBIAN else maximum_location(found, MAPS[name])


def _place(volume: Image, index: tuple[np.intp, ...], why: str) -> WorstLocation:
    r, a, s = volume.grid.index_to_world(np.array([index], dtype=np.float64))[0]
    return WorstLocation((float(r), float(a), float(s)), why)
