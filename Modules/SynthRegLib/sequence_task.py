"""Register the items of a sequence node in memory: from the items' arrays to the world, and back to the nodes' spaces.

The transform node of a frame holds what registration_task says of `forward`, with the frame as the moving image. Runs
in the worker process: no Slicer.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Callable

import numpy as np

from SlicerSynthReg.api.sequence import SequenceRegistration
from SlicerSynthReg.io.frames import Frames
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import read_landmarks
from SlicerSynthReg.parameters.registration import SequenceParameters
from SlicerSynthReg.progress import Progress, sub_progress
from SlicerSynthReg.request import Request, TaskOutcome
from SynthRegLib.node_images import (
    LinearNodeImage,
    fixed_placement,
    merge_layers,
    read_node_image,
    read_scene,
    save_array,
)
from SynthRegLib.registration_task import displacements

_REGISTERED, _SAVED = 0.8, 0.85
"""Shares of the progress bar."""


def register_frames(
    request: Request, workspace: Path, progress: Progress, register: Callable[..., SequenceRegistration]
) -> TaskOutcome:
    """Register the frames of scene.json by `register`; for each registered frame N, write moved_N and forward_N as
    .npy arrays."""
    progress(0.0, "reading the frames")
    scene, folder = read_scene(request)
    fixed_name = scene["fixed_name"] if scene["fixed"] is not None else scene["name"]
    fixed = read_node_image(scene["fixed"] or scene["frames"][scene["home"]], folder, "scalar", fixed_name)
    names = tuple(f"{n:04d}" for n in range(len(scene["frames"])))

    def world_frame(n: int) -> Image:
        frame = read_node_image(scene["frames"][n], folder, "scalar", names[n])
        return frame.resampled(frame.grid)

    given: dict[str, Any] = {}
    if scene["fixed"] is not None:
        given["fixed"] = fixed.resampled(fixed.grid)
    if scene["fixed_mask"] is not None:
        layers = [read_node_image(layer, folder, "labels") for layer in scene["fixed_mask"]]
        given["fixed_mask"] = merge_layers(layers, fixed.grid)
    if scene["fixed_landmarks"]:
        given["fixed_landmarks"] = read_landmarks(folder / scene["fixed_landmarks"])
    result = register(
        Frames(names, world_frame),
        **given,
        parameters=SequenceParameters(**request.parameters),
        progress=sub_progress(progress, 0.0, _REGISTERED),
    )
    outputs = result.save(workspace, sub_progress(progress, _REGISTERED, _SAVED), images=False)
    for n, transform in enumerate(result.transforms):
        progress(_SAVED + (1 - _SAVED) * n / len(names), "writing the results")
        if transform is None:
            continue
        moving = read_node_image(scene["frames"][n], folder, "scalar")
        linear = isinstance(moving, LinearNodeImage)
        moved = result.moved.data[n] if linear else moving.resampled(fixed.grid, transform).data[0]
        save_array(moved.numpy(), workspace / f"moved_{n:03d}.npy")
        field = displacements(scene["forward"], folder, fixed, transform, moving)
        np.save(workspace / f"forward_{n:03d}.npy", field)
        outputs |= {f"{name}_{n:03d}_array": f"{name}_{n:03d}.npy" for name in ("moved", "forward")}
    placement = {
        "forward": {key: scene["forward"][key] for key in ("shape", "affine")},
        "fixed": fixed_placement(fixed),
    }
    return TaskOutcome(outputs, {**dataclasses.asdict(result.report), "placement": placement}, list(result.warnings))
