"""Where a result is worst, in the patient's millimetres."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter

from SlicerSynthReg.report.quality import Place
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.workspace import SEAL

SMOOTHING_MM = 3.0
JACOBIAN = "jacobian"
MAPS = {"anomaly": "anomaly, probability", "cycle": "cycle error", "doubt": "doubt"}
"""Outputs of tasks that are the greater the worse, and what their values are called."""


def worst_difference(reference: Volume, image: Volume, mask: Volume | None = None, unit: str = "") -> Place:
    """The place where |image - reference|, averaged over about SMOOTHING_MM (Gaussian SD), is greatest.

    Both on one grid (GeometryError otherwise), first channels; mask: where to look (label volume on that grid).
    """
    reference.grid.require_same(image.grid, "the image")
    apart = (image.data[0] - reference.data[0]).abs().double().cpu().numpy()
    smooth = gaussian_filter(apart, SMOOTHING_MM / reference.grid.spacing)
    if mask is not None:
        reference.grid.require_same(mask.grid, "the mask")
        smooth = np.where(mask.data[0].cpu().numpy() > 0, smooth, -np.inf)
    index = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return _place(reference, index, f"differs by {smooth[index]:.3g}{unit and ' ' + unit}")


def worst_overlap(reference: Volume, labels: Volume) -> Place | None:
    """The middle of the thickest region in which two label volumes of one grid differ; None where they are equal."""
    reference.grid.require_same(labels.grid, "the labels")
    differ = np.pad((reference.data[0] != labels.data[0]).cpu().numpy(), 1)
    if not differ.any():
        return None
    depth = distance_transform_edt(differ, sampling=reference.grid.spacing)[1:-1, 1:-1, 1:-1]
    index = np.unravel_index(int(depth.argmax()), depth.shape)
    return _place(reference, index, f"labels differ, {depth[index]:.1f} mm deep")


def worst_jacobian(jacobian: Volume) -> Place:
    """Where a Jacobian map is least: folded, or most compressed."""
    values = torch.nan_to_num(jacobian.data[0], nan=float("inf"))
    index = np.unravel_index(int(values.argmin()), values.shape)
    value = float(values[index])
    return _place(jacobian, index, f"{'folds' if value <= 0 else 'most compressed'}, Jacobian {value:.2f}")


def greatest(map_: Volume, words: str) -> Place:
    """Where a map, averaged over about SMOOTHING_MM, is greatest; first channel."""
    smooth = gaussian_filter(map_.data[0].double().cpu().numpy(), SMOOTHING_MM / map_.grid.spacing)
    index = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return _place(map_, index, f"{words} {smooth[index]:.3g}")


def worst_place(folder: Path) -> Place | None:
    """Of a finished result, from the first of JACOBIAN and MAPS in its folder; None where it has none of them."""
    outputs = json.loads((folder / SEAL).read_text(encoding="utf-8")).get("outputs", {})
    name = next((name for name in (JACOBIAN, *MAPS) if name in outputs), None)
    if name is None:
        return None
    found = read_volume(folder / outputs[name], allow_degenerate=True)
    return worst_jacobian(found) if name == JACOBIAN else greatest(found, MAPS[name])


def _place(volume: Volume, index: tuple[np.intp, ...], why: str) -> Place:
    r, a, s = volume.grid.index_to_world(np.array([index], dtype=np.float64))[0]
    return Place((float(r), float(a), float(s)), why)
