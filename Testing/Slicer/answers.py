"""A registration that answers with a known map. Runs in the worker process too: no Slicer here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from SlicerSynthReg.evaluate.regularity import jacobian_map
from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Composite, Displacement, Transform
from SlicerSynthReg.volume.landmarks import Landmarks, read_landmarks, write_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import write_transform
from SlicerSynthReg.volume.write import write_volume
from Testing.Slicer.rotation import turn


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
