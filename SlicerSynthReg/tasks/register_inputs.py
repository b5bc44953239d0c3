"""What a registration reads: images, labels, masks, landmarks and a start, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.request import Request
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.tasks.parameters import FileParameters, RegisterParameters
from SlicerSynthReg.tasks.reading import read_image
from SlicerSynthReg.volume.landmarks import Landmarks, read_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.volume import Volume, VolumeError


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything the request named, read and checked."""

    fixed: Volume
    moving: Volume
    fixed_labels: Volume | None
    moving_labels: Volume | None
    fixed_mask: Volume | None
    moving_mask: Volume | None
    fixed_landmarks: Landmarks | None
    moving_landmarks: Landmarks | None
    initial: Transform | None


def read_inputs(request: Request, parameters: RegisterParameters) -> Inputs:
    """Errors: VolumeError, GeometryError, OSError for what cannot be read or does not belong together."""
    paths = request.inputs

    def image(which: str) -> Volume:
        frame, series = (getattr(parameters, f"{which}_{what}") for what in ("frame", "series"))
        return read_image(paths[which], parameters, frame, series)

    def labels(name: str, grid: Grid | None) -> Volume | None:
        if name not in paths:
            return None
        volume = read_volume(paths[name], "labels", assume_geometry=parameters.assume_geometry, allow_degenerate=True)
        if grid is not None:
            grid.require_same(volume.grid, name.replace("_", " "))
        return volume

    def points(name: str) -> Landmarks | None:
        return read_landmarks(paths[name]) if name in paths else None

    def mask(name: str) -> Volume | None:
        return read_mask(paths[name], name, parameters) if name in paths else None

    fixed, moving = image("fixed"), image("moving")
    fixed_labels, moving_labels = labels("fixed_labels", fixed.grid), labels("moving_labels", None)
    if moving_labels is not None:
        _require_a_shared_place(moving_labels, moving)
        if fixed_labels is not None:
            _require_a_shared_number(fixed_labels, moving_labels)
    return Inputs(
        fixed=fixed,
        moving=moving,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_mask=mask("fixed_mask"),
        moving_mask=mask("moving_mask"),
        fixed_landmarks=points("fixed_landmarks"),
        moving_landmarks=points("moving_landmarks"),
        initial=read_transform(paths["initial_transform"], fixed.grid) if "initial_transform" in paths else None,
    )


def read_mask(path: str, name: str, parameters: FileParameters) -> Volume:
    """Errors: VolumeError where it leaves nothing, and those of reading."""
    volume = read_volume(path, "labels", assume_geometry=parameters.assume_geometry, allow_degenerate=True)
    if not bool((volume.data != 0).any()):
        raise VolumeError(f"Found an empty {name.replace('_', ' ')}, expected non-zero voxels. Draw what counts.")
    return volume


def _require_a_shared_place(labels: Volume, image: Volume) -> None:
    """Label maps may lie on a grid of their own, but not beside the image that they are of."""
    marked = labels.grid.index_to_world((labels.data[0] != 0).nonzero()[::50].numpy())
    index = image.grid.world_to_index(marked)
    if not bool(((index > -0.5) & (index < np.array(image.grid.shape) - 0.5)).all(axis=1).any()):
        raise VolumeError(
            "Found moving labels that mark nothing within the moving image, expected labels drawn on that image. Check "
            "that both files belong together, and that neither header was changed."
        )


def _require_a_shared_number(fixed: Volume, moving: Volume) -> None:
    ours, theirs = (set(labels.data.unique().tolist()) - {0} for labels in (fixed, moving))
    if not ours & theirs:
        shown = [", ".join(str(int(n)) for n in sorted(numbers)[:6]) or "none" for numbers in (ours, theirs)]
        raise VolumeError(
            f"Found no label number in both label maps (fixed: {shown[0]}; moving: {shown[1]}), expected one structure "
            "under one number in both. Renumber one of them, or leave one out: overlap is then not measured."
        )
