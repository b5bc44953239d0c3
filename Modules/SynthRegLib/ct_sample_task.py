"""A virtual patient's CT, native and in the arterial phase, made in the worker: no download, no patient.

Both have the same noise, so that nothing but iodine differs between them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.synth.ct.phantom import PhantomConfig, draw_phantom, make_phantom
from SynthRegLib.worldfiles import as_vtk

PATIENT = 12
_CONFIG = PhantomConfig(shape=(224, 224, 32), spacing_mm=(1.7, 1.7, 5.0), level_mm=(30.0, 40.0), shared_noise=1.0)


def ct_sample(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """contrast, native (int16 HU) and labels (uint8, TotalSegmentator's numbers) as arrays, and their place."""
    progress(0.1, "making a virtual patient")
    pair = make_phantom(draw_phantom(_CONFIG, torch.Generator().manual_seed(PATIENT)))
    progress(0.9, "placing the results")
    scans = {name: getattr(pair, name).clamp(-1024, 3071).round() for name in ("contrast", "native")}
    arrays = {name: scan.numpy().astype(np.int16) for name, scan in scans.items()}
    arrays["labels"] = pair.labels.numpy().astype(np.uint8)
    place = {"shape": list(pair.grid.shape), "affine": pair.grid.affine.tolist(), "in_world": True}
    for name, values in arrays.items():
        np.save(workspace / f"{name}.npy", as_vtk(values))
    outputs = {f"{name}_array": f"{name}.npy" for name in arrays}
    return TaskOutcome(outputs, {"placement": dict.fromkeys(arrays, place)})
