"""Real cases of the healthy-reconstruction benchmark: a void with a known T1, a stroke, multiple sclerosis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from healthy_scores import detection, image_scores
from peers.vae import VAE
from scipy.ndimage import label

from SlicerSynthReg.healthy.lesion_filled_inputs import fill_lesions
from SlicerSynthReg.healthy.pipeline import (
    HealthyModel,
    MirroredScan,
    ReconstructionConfig,
    contralateral_image,
    run_una,
)
from SlicerSynthReg.healthy.una import UNA
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.metrics.overlap import dice
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.laplace import laplace_inpaint
from SlicerSynthReg.weights.registry import read_card
from SlicerSynthReg.weights.selection import registration_card

VOID = "d_tumour_BraTS-GLI-00001-000/BraTS-GLI-00001-000"
HEALTHY_VOID_ML = 74.0
LESIONS = {
    "stroke T2": ("d_stroke/rorden_T2.nii.gz", "d_stroke/rorden_T2_lesion.nii.gz"),
    "MS T1": ("d_MS_MNI/patient07_T1.nii.gz", "d_MS_MNI/patient07_lesions.nii.gz"),
    "MS T2": ("d_MS_MNI/patient07_T2.nii.gz", "d_MS_MNI/patient07_lesions.nii.gz"),
    "MS FLAIR": ("d_MS_MNI/patient07_FLAIR.nii.gz", "d_MS_MNI/patient07_lesions.nii.gz"),
}


def real_cases(shared: Path, models: dict[str, UNA], vae: VAE | None) -> dict[str, dict[str, dict[str, float]]]:
    """Return case -> method -> scores."""
    card = registration_card(None)
    brains = SynthMorph.load(read_card(card.name)) if card else None
    found = {"BraTS healthy void, T1": void(shared, models, brains)}
    for name, (image, lesions) in LESIONS.items():
        volume, truth = read_image(shared / image), read_image(shared / lesions, "labels")
        found[name] = anomalies(volume, truth, models, brains, vae)
    return found


def void(shared: Path, models: dict[str, UNA], brains: SynthMorph | None) -> dict[str, dict[str, float]]:
    """Return L1, PSNR and SSIM inside the void, with the data range of the true T1, in the patient's own contrast."""
    voided, truth = (read_image(shared / f"{VOID}-t1n{kind}.nii.gz") for kind in ("-voided", ""))
    hole = read_image(shared / f"{VOID}-mask.nii.gz", "labels").data[0] > 0
    pieces, count = label(hole.numpy())
    ml = np.bincount(pieces.flat)[1:] * float(np.prod(voided.grid.spacing)) / 1000
    healthy = torch.from_numpy(pieces == int(np.abs(ml - HEALTHY_VOID_ML).argmin()) + 1)
    span = float(torch.quantile(truth.data[0][truth.data[0] > 0][::50], 0.995))

    def scores(image: torch.Tensor) -> dict[str, float]:
        return image_scores(image, truth.data[0], {"D": healthy}, span)

    results = {"linear in-painting": scores(laplace_inpaint(voided.data[0], hole))}
    for name, model in models.items():
        result = run_una(HealthyModel(model, brains, 2.0), voided, ReconstructionConfig())
        other = contralateral_image(result, voided, voided.grid)
        if other is not None:
            results["mirrored copy"] = scores(torch.where(hole, other.data[0], voided.data[0]))
        results[name] = scores(torch.where(hole, fill_lesions(result, voided, model).data[0], voided.data[0]))
    return results


def anomalies(
    volume: Image, truth: Image, models: dict[str, UNA], brains: SynthMorph | None, vae: VAE | None
) -> dict[str, dict[str, float]]:
    """Return the detection scores of each map, at 2 mm within the brain."""
    results = {}
    for name, model in models.items():
        result = run_una(HealthyModel(model, brains, 2.0), volume, ReconstructionConfig())
        maps, scan = result.maps, result.scan
        lesion, where = _on(truth, maps.t1.grid), maps.brain.data[0] > 0
        results[name] = detection(maps.anomaly.data[0], lesion, where)
        marked = (maps.anomaly.data[0] >= 0.5) & where
        if results[name]:
            results[name]["Dice, marked"] = dice(marked, lesion & where)
        results["mirrored difference"] = detection(_mirrored_difference(scan), lesion, where)
        if vae is not None:
            reconstructed = vae.reconstruct(scan.image.data[None])[0, 0]
            results["VAE"] = detection((scan.image.data[0] - reconstructed).abs(), lesion, where)
    return results


def _mirrored_difference(scan: MirroredScan) -> torch.Tensor:
    seen = scan.mirrored.data[0] > 0
    return (scan.image.data[0] - scan.mirrored.data[0]).abs() * seen


def _on(truth: Image, grid: Grid) -> torch.Tensor:
    share = Image((truth.data > 0).float(), truth.grid).resampled(grid)
    return share.data[0] > 0.5
