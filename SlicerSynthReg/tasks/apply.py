"""Apply a saved transform: images and labels are seen on the reference's grid, landmarks go along with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from SlicerSynthReg.request import Progress, Request, RequestError, TaskOutcome
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.tasks.parameters import ApplyParameters
from SlicerSynthReg.volume.landmarks import Landmarks, read_landmarks, write_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform
from SlicerSynthReg.volume.write import write_volume

_CLOSE_MM = 0.01
_ITERATIONS = 30
_LATTICE = 24


def apply_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """moved(x) = image(T(x)), T leading from the reference's world to the image's; a point y of the image goes to the
    x with T(x) = y."""
    parameters = ApplyParameters(**request.parameters)
    inputs = request.inputs
    if not {"image", "labels", "landmarks"} & set(inputs):
        raise RequestError("Found nothing to move, expected an image, a label map or landmarks. Add at least one.")
    geometry = parameters.assume_geometry
    grid = read_volume(inputs["reference"], assume_geometry=geometry, allow_degenerate=True).grid
    transform = read_transform(inputs["transform"], grid)
    outputs, warnings = {}, []
    for share, (name, kind) in zip((0.2, 0.6), (("image", "scalar"), ("labels", "labels"))):
        if name in inputs:
            progress(share, f"moving the {name}")
            volume = read_volume(inputs[name], kind, assume_geometry=geometry, allow_degenerate=True)
            moved = volume.resampled(grid, transform)
            if bool((volume.data != 0).any()) and not bool((moved.data != 0).any()):
                warnings.append(f"The moved {name} is empty: does the transform lead from the reference to the {name}?")
            outputs[name] = f"moved_{name}.nii.gz"
            write_volume(moved, workspace / outputs[name])
    if "landmarks" in inputs:
        progress(0.9, "moving the landmarks")
        points = read_landmarks(inputs["landmarks"])
        if parameters.inverse_landmarks:
            moved_mm = transform.map_points(points.points_mm)
        else:
            moved_mm, found = origins_of(points.points_mm, transform, grid)
            if not found.all():
                lost = ", ".join(label for label, here in zip(points.labels, found) if not here)
                warnings.append(f"No place of the reference is sent to the landmarks {lost}; the nearest is given.")
        outputs["landmarks"] = "moved_landmarks.csv"
        write_landmarks(Landmarks(moved_mm, points.labels), workspace / outputs["landmarks"])
    return TaskOutcome(outputs, {"voxels": grid.voxel_count}, warnings)


def origins_of(points_mm: np.ndarray, transform: Transform, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points y -> (N, 3) points x with T(x) = y, and (N,) whether one was found.

    An affine T is inverted; for others x is sought within `grid`.
    Newton's method, from the voxel of `grid` that T sends nearest to y: unlike transform.inverse() it needs no field
    around y, and it is not misled by a field that moves nothing outside its grid.
    """
    if isinstance(transform, Affine):
        return transform.inverse().map_points(points_mm), np.ones(len(points_mm), dtype=bool)
    steps = [np.linspace(0, n - 1, min(n, _LATTICE)) for n in grid.shape]
    start = grid.index_to_world(np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3))
    wanted = np.asarray(points_mm, dtype=np.float64)
    best = start[cKDTree(transform.map_points(start)).query(wanted)[1]]
    miss = transform.map_points(best) - wanted
    damping = np.ones(len(best))
    for _ in range(_ITERATIONS):
        slopes = [transform.map_points(best + h) - transform.map_points(best - h) for h in 0.5 * np.eye(3)]
        newton = np.einsum("nab,nb->na", np.linalg.pinv(np.stack(slopes, axis=-1)), miss)
        x = best - damping[:, None] * newton
        left = transform.map_points(x) - wanted
        index = grid.world_to_index(x)
        inside = ((index >= -0.5) & (index <= np.array(grid.shape) - 0.5)).all(axis=1)
        nearer = inside & (np.linalg.norm(left, axis=1) < np.linalg.norm(miss, axis=1))
        best, miss = np.where(nearer[:, None], x, best), np.where(nearer[:, None], left, miss)
        damping = np.where(nearer, 1.0, damping / 2)
    return best, np.linalg.norm(miss, axis=1) < _CLOSE_MM
