"""Real cases of the healthy brain's benchmark: a void whose T1 is known, a stroke, multiple sclerosis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from healthy_scores import detection, likeness
from peers.vae import VAE
from scipy.ndimage import label

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.harmonic import harmonic
from SlicerSynthReg.tasks.filling import filled
from SlicerSynthReg.tasks.healing import Healed, HealingConfig, heal, other_side
from SlicerSynthReg.tasks.model import chosen_card
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.weights.registry import read_card

VOID = "d_tumour_BraTS-GLI-00001-000/BraTS-GLI-00001-000"
HEALTHY_VOID_ML = 74.0
SICK = {
    "stroke T2": ("d_stroke/rorden_T2.nii.gz", "d_stroke/rorden_T2_lesion.nii.gz"),
    "MS T1": ("d_MS_MNI/patient07_T1.nii.gz", "d_MS_MNI/patient07_lesions.nii.gz"),
    "MS T2": ("d_MS_MNI/patient07_T2.nii.gz", "d_MS_MNI/patient07_lesions.nii.gz"),
    "MS FLAIR": ("d_MS_MNI/patient07_FLAIR.nii.gz", "d_MS_MNI/patient07_lesions.nii.gz"),
}


def real_cases(shared: Path, models: dict[str, UNA], vae: VAE | None) -> dict[str, dict[str, dict[str, float]]]:
    """case -> method -> scores."""
    card = chosen_card(None)
    brains = SynthMorph.load(read_card(card.name)) if card else None
    found = {"BraTS healthy void, T1": void(shared, models, brains)}
    for name, (image, lesions) in SICK.items():
        volume, truth = read_volume(shared / image), read_volume(shared / lesions, "labels")
        found[name] = anomalies(volume, truth, models, brains, vae)
    return found


def void(shared: Path, models: dict[str, UNA], brains: SynthMorph | None) -> dict[str, dict[str, float]]:
    """L1, PSNR and SSIM inside the void, on the scale of the true T1's range there and about it; all in the patient's
    own contrast."""
    voided, truth = (read_volume(shared / f"{VOID}-t1n{kind}.nii.gz") for kind in ("-voided", ""))
    hole = read_volume(shared / f"{VOID}-mask.nii.gz", "labels").data[0] > 0
    pieces, count = label(hole.numpy())
    ml = np.bincount(pieces.flat)[1:] * float(np.prod(voided.grid.spacing)) / 1000
    healthy = torch.from_numpy(pieces == int(np.abs(ml - HEALTHY_VOID_ML).argmin()) + 1)
    span = float(torch.quantile(truth.data[0][truth.data[0] > 0][::50], 0.995))

    def scores(image: torch.Tensor) -> dict[str, float]:
        return likeness(image, truth.data[0], {"D": healthy}, span)

    results = {"linear in-painting": scores(harmonic(voided.data[0], hole))}
    for name, model in models.items():
        healed = heal(model, brains, 2.0, voided, HealingConfig())
        other = other_side(healed, voided, voided.grid)
        if other is not None:
            results["mirrored copy"] = scores(torch.where(hole, other.data[0], voided.data[0]))
        results[name] = scores(torch.where(hole, filled(healed, voided, model).data[0], voided.data[0]))
    return results


def anomalies(
    volume: Volume, truth: Volume, models: dict[str, UNA], brains: SynthMorph | None, vae: VAE | None
) -> dict[str, dict[str, float]]:
    """How well each map finds the lesions, at 2 mm within the brain."""
    results = {}
    for name, model in models.items():
        healed = heal(model, brains, 2.0, volume, HealingConfig())
        sick, where = _on(truth, healed.t1.grid), healed.brain.data[0] > 0
        results[name] = detection(healed.anomaly.data[0], sick, where)
        marked = (healed.anomaly.data[0] >= 0.5) & where
        if results[name]:
            results[name]["Dice, marked"] = (
                2 * float((marked & sick).sum()) / float(marked.sum() + (sick & where).sum())
            )
        results["mirrored difference"] = detection(_mirrored_difference(healed), sick, where)
        if vae is not None:
            rebuilt = vae.rebuilt(healed.scan.data[None])[0, 0]
            results["VAE"] = detection((healed.scan.data[0] - rebuilt).abs(), sick, where)
    return results


def _mirrored_difference(healed: Healed) -> torch.Tensor:
    seen = healed.mirrored.data[0] > 0
    return (healed.scan.data[0] - healed.mirrored.data[0]).abs() * seen


def _on(truth: Volume, grid: Grid) -> torch.Tensor:
    share = Volume((truth.data > 0).float(), truth.grid).resampled(grid)
    return share.data[0] > 0.5
