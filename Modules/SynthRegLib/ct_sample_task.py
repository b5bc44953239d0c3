"""Simulate an abdominal CT in native and arterial phase, with the same noise in both. Runs in the worker process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.synthesis.ct.phantom import PhantomConfig, draw_phantom, make_phantom
from SynthRegLib.node_images import save_array

PATIENT = 12
_CONFIG = PhantomConfig(shape=(224, 224, 32), spacing_mm=(1.7, 1.7, 5.0), level_mm=(30.0, 40.0), shared_noise=1.0)


def ct_sample(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Write both phases (int16 HU) and labels (uint8, numbers of TotalSegmentator) as arrays with their placement."""
    progress(0.1, "making a virtual patient")
    pair = make_phantom(draw_phantom(_CONFIG, torch.Generator().manual_seed(PATIENT)))
    progress(0.9, "placing the results")
    scans = {name: getattr(pair, name).clamp(-1024, 3071).round() for name in ("contrast", "native")}
    arrays = {name: scan.numpy().astype(np.int16) for name, scan in scans.items()}
    arrays["labels"] = pair.labels.numpy().astype(np.uint8)
    place = {"shape": list(pair.grid.shape), "affine": pair.grid.affine.tolist(), "in_world": True}
    for name, values in arrays.items():
        save_array(values, workspace / f"{name}.npy")
    outputs = {f"{name}_array": f"{name}.npy" for name in arrays}
    return TaskOutcome(outputs, {"placement": dict.fromkeys(arrays, place)})
