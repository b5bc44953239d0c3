"""The topology task: two images that lie upon one another in; where no smooth warp explains the difference out.

Scanners differ in brightness where people do not: the moving image and the controls are compared in the brightness of
the fixed one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.methods.topology.baselines import li_wyatt, log_jacobian_squared
from SlicerSynthReg.methods.topology.control import ControlGroup
from SlicerSynthReg.methods.topology.model import Explained, Topology, description, halved, moved
from SlicerSynthReg.request import Progress, Request, RequestError, TaskOutcome
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.loaded import loaded
from SlicerSynthReg.tasks.model import topology_card
from SlicerSynthReg.tasks.topology_parameters import TopologyParameters
from SlicerSynthReg.volume.intensity import in_brightness_of, unit_intensities
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.suffixes import image_files
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume

LIT = 0.05
"""Brightness from which on the fixed image counts as foreground."""


def topology_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """L_sym of the fixed image given the moving one, or Q where there are controls, and both baselines; all on the
    fixed image's grid."""
    parameters = TopologyParameters(**request.parameters)
    card, device = topology_card(parameters.model), set_up(parameters)
    progress(0.02, "reading")
    fixed, moving = (read_volume(request.inputs[name]) for name in ("fixed", "moving"))
    transform = None
    if "transform" in request.inputs:
        transform = read_transform(request.inputs["transform"], fixed.grid)
    upright = fixed.grid.aligned_to_ras(card.spacing_mm)
    grid = upright.cropped((0, 0, 0), tuple(n + n % 2 for n in upright.shape))
    there = fixed.resampled(grid), moving.resampled(grid, transform)
    j, i = (unit_intensities(volume.data[:1])[None].to(device) for volume in there)
    if float(i.max()) == 0:
        raise RequestError(
            "Found no voxel of the moving image within the fixed one, expected two that lie upon one another. Register "
            "them first, and give the transform or the moved image."
        )
    i = in_brightness_of(i, j)
    model = loaded(Topology, card).to(device)
    describe = description(model.config.features, str(device))
    i, j = (_asked(image, model.config.dims) for image in (i, j))
    progress(0.1, "comparing the images")

    def explain(one: torch.Tensor, other: torch.Tensor) -> Explained:
        return model.explain_both(one, other, describe)

    with torch.inference_mode():
        found = explain(i, j)
        maps = {
            "changes": found.score,
            "stretching": log_jacobian_squared(found.u),
            "mismatch": li_wyatt(moved(halved(i), found.u), halved(j)),
        }
        if "controls" in request.inputs:
            controls = _controls(Path(request.inputs["controls"]), grid, device)
            images = tuple(in_brightness_of(_asked(one, model.config.dims), j) for one in controls)
            progress(0.3, f"comparing with {len(images)} controls")
            maps["outliers"] = ControlGroup.of(images, explain).outliers(j, explain)
    progress(0.9, "writing")
    volumes = {name: _volume(values.cpu().float(), grid).resampled(fixed.grid) for name, values in maps.items()}
    outputs, lit = {}, unit_intensities(fixed.data[:1]) > LIT
    for name, volume in volumes.items():
        outputs[name] = f"{name}.nii.gz"
        write_volume(Volume(volume.data * lit, fixed.grid, name=fixed.name), workspace / outputs[name])
    chosen = "outliers" if "outliers" in maps else "changes"
    values = volumes[chosen].data
    inside = values[lit].numpy()
    cut = float(np.percentile(inside, parameters.threshold)) if len(inside) else float("inf")
    marked = Volume(((values > cut) & lit).to(torch.uint8), fixed.grid, "labels", fixed.name)
    outputs["marked"] = "marked.nii.gz"
    write_volume(marked, workspace / outputs["marked"])
    millilitres = abs(float(np.linalg.det(fixed.grid.affine[:3, :3]))) / 1000
    report = {
        "model": card.name,
        "map": chosen,
        "cut": cut,
        "marked_ml": round(int(marked.data.sum()) * millilitres, 3),
        "percentiles": {str(p): float(np.percentile(inside, p)) for p in (50, 90, 95, 98, 99)} if len(inside) else {},
    }
    return TaskOutcome(outputs, report, [])


def _asked(image: torch.Tensor, dims: int) -> torch.Tensor:
    """(1, 1, I, J, K) as it is, or for a model of two dimensions its axial slices as a batch (K, 1, I, J)."""
    return image if dims == 3 else image[0].permute(3, 0, 1, 2)


def _volume(scores: torch.Tensor, grid: Grid) -> Volume:
    """Scores (1, I/2, J/2, K/2) of a volume, or (K, I/2, J/2) of its slices, where they lie."""
    if scores.dim() == 4:
        return Volume(scores, grid.scaled_down(2))
    return Volume(scores.permute(1, 2, 0)[None], grid.scaled_down((2, 2, 1)))


def _controls(folder: Path, grid: Grid, device: torch.device) -> tuple[torch.Tensor, ...]:
    """The images of a folder on `grid`, on which they must lie already."""
    paths = image_files(folder) if folder.is_dir() else []
    if len(paths) < 2:
        raise RequestError(
            f"Found {len(paths)} control images, expected a folder with two or more of healthy people, aligned with "
            "the fixed image."
        )
    images = [unit_intensities(read_volume(path).resampled(grid).data[:1])[None].to(device) for path in paths]
    empty = [path.name for path, image in zip(paths, images) if float(image.max()) == 0]
    if empty:
        raise RequestError(f"Found no voxel of {empty[0]} within the fixed image, expected aligned control images.")
    return tuple(images)
