"""Pairs of volumes with a known map between them, and a registration that answers with that map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import torch
import vtk
from scipy.ndimage import gaussian_filter

from SlicerSynthReg.evaluate.regularity import jacobian_map
from SlicerSynthReg.request import Progress, Request, Result, TaskOutcome
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Composite, Displacement, Transform
from SlicerSynthReg.volume.landmarks import Landmarks, read_landmarks, write_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import write_transform
from SlicerSynthReg.volume.write import write_volume
from SynthRegLib.scene_worker import register_nodes_spec

PLAIN = np.array([[2.0, 0, 0, -47.0], [0, 2.0, 0, -41.0], [0, 0, 2.0, -37.0], [0, 0, 0, 1.0]])


def turn(degrees: tuple[float, float, float]) -> np.ndarray:
    """3x3 rotation about x, then y, then z."""
    total = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        a, b = [n for n in range(3) if n != axis]
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = (-np.sin(angle), np.sin(angle)) if axis != 1 else (np.sin(angle), -np.sin(angle))
        total = one @ total
    return total


def skewed() -> np.ndarray:
    """4x4 index -> RAS of 48 x 42 x 30 voxels: oblique, anisotropic and left-handed."""
    affine = np.eye(4)
    affine[:3, :3] = turn((20.0, -15.0, 30.0)) @ np.diag([-1.9, 2.2, 2.9])
    affine[:3, 3] = np.array([3.0, -4.0, 6.0]) - affine[:3, :3] @ np.array([23.5, 20.5, 14.5])
    return affine


def volume(name: str, affine: np.ndarray, seed: int, shape: tuple[int, int, int] = (48, 42, 38)):
    """Smooth structure that fades to nothing towards the faces, as int16."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3.0)
    axes = [np.hanning(n + 2)[1:-1] for n in shape]
    values = 800 * noise / np.abs(noise).max() * np.einsum("i,j,k->ijk", *axes) + 900
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(values.T).astype(np.int16), affine, name)


def linear_parent(degrees=(8.0, -5.0, 12.0), shift=(9.0, -6.0, 4.0), scale=1.05, name="linear"):
    matrix = np.eye(4)
    matrix[:3, :3] = turn(degrees) * scale
    matrix[:3, 3] = shift
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def grid_parent(seed: int, from_parent: bool, name="acquisition transform"):
    """A smooth bend of up to some 5 mm, on a turned grid, as DICOM's "acquisition transform"."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.standard_normal((13, 12, 11, 3)), (2.0, 2.0, 2.0, 0)) * 0.6
    field = (field / np.abs(field).max() * 5.0).astype(np.float64)
    image = vtk.vtkImageData()
    image.SetDimensions(11, 12, 13)
    image.SetSpacing(16.0, 15.0, 14.0)
    directions = np.eye(4)
    directions[:3, :3] = turn((10.0, 5.0, -8.0))
    image.SetOrigin(*(directions[:3, :3] @ np.array([-80.0, -82.0, -84.0])))
    array = vtk.util.numpy_support.numpy_to_vtk(field.reshape(-1, 3), deep=True)
    image.GetPointData().SetScalars(array)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(directions))
    transform.SetDisplacementGridData(image)
    transform.SetInterpolationModeToCubic()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", name)
    if from_parent:
        node.SetAndObserveTransformFromParent(transform)
    else:
        node.SetAndObserveTransformToParent(transform)
    return node


def known_map(seed: int = 7) -> Composite:
    """Fixed world -> moving world: a smooth bend of up to 6 mm around the origin, then 10 degrees, 4 % and a shift."""
    shape = (25, 25, 25)
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = -96.0
    bend = gaussian_filter(np.random.default_rng(seed).standard_normal((3, *shape)), (0, 2.5, 2.5, 2.5))
    axes = [np.hanning(n) for n in shape]
    bend = bend / np.abs(bend).max() * np.einsum("i,j,k->ijk", *axes) * 6.0 / 8.0
    matrix = np.eye(4)
    matrix[:3, :3] = turn((4.0, -6.0, 7.0)) @ np.diag([1.04, 0.98, 1.0])
    matrix[:3, 3] = (5.0, -3.0, 2.0)
    return Composite((Displacement(torch.from_numpy(bend.astype(np.float32)), Grid(shape, affine)), Affine(matrix)))


def answering(answer: Transform):
    """A registration task that always answers `answer`."""

    def register(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
        fixed, moving = (read_volume(request.inputs[name]) for name in ("fixed", "moving"))
        dense = answer.on(fixed.grid)
        back = answer.inverse()
        outputs = {"moved": "moved.nii.gz", "jacobian": "jacobian.nii.gz"}
        write_volume(moving.resampled(fixed.grid, dense), workspace / outputs["moved"])
        write_volume(jacobian_map(dense, fixed.grid), workspace / outputs["jacobian"])
        outputs |= {"forward": "forward.h5", "inverse": "inverse.h5", "page": "report.html"}
        write_transform(answer, workspace / outputs["forward"], fixed.grid, moving.grid)
        write_transform(back, workspace / outputs["inverse"], moving.grid, fixed.grid)
        (workspace / outputs["page"]).write_text("<html>Not for diagnosis.</html>")
        if "moving_labels" in request.inputs:
            outputs["moved_labels"] = "moved_labels.nii.gz"
            labels = read_volume(request.inputs["moving_labels"], "labels", allow_degenerate=True)
            write_volume(labels.resampled(fixed.grid, dense), workspace / outputs["moved_labels"])
        if "moving_landmarks" in request.inputs:
            points = read_landmarks(request.inputs["moving_landmarks"])
            outputs["moved_landmarks"] = "moved_landmarks.csv"
            there = Landmarks(back.map_points(points.points_mm), points.labels)
            write_landmarks(there, workspace / outputs["moved_landmarks"])
        report = {"model": "known map", "inputs": sorted(request.inputs), "parameters": dict(request.parameters)}
        return TaskOutcome(outputs, report)

    return register


def running(answer: Transform):
    """What takes the place of WorkerClient.run: the door in this process, knowing only the known map."""
    tasks = {"register_nodes": register_nodes_spec(answering(answer))}

    def door(request: Request, progress: Progress) -> Result:
        return run(request, progress, tasks)

    return door
