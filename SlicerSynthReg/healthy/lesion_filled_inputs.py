"""Lesion filling, and the inputs of a registration via the pseudo-healthy image.

What is abnormal in a scan is inpainted in the scan's own contrast, so that no lesion biases the registration; the
transform then moves the scan itself. Normal tissue stays as it was scanned: a reconstruction of the whole brain would
align no better than the network predicts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.ndimage import binary_dilation

from SlicerSynthReg.healthy.inpainting import BilateralImage, inpaint
from SlicerSynthReg.healthy.pipeline import HealthyModel, ReconstructionConfig, UNAResult, run_una
from SlicerSynthReg.healthy.preprocessing import sample_contralateral
from SlicerSynthReg.healthy.una import UNA
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.progress import Progress, no_progress, sub_progress
from SlicerSynthReg.spatial.transform import resample

FILL_THRESHOLD = 0.7
"""Voxels whose anomaly map is at least this, and their neighbours, are replaced completely."""
LESION_SIDES = {"none": (), "fixed": ("fixed",), "moving": ("moving",), "both": ("fixed", "moving")}
"""Values of the parameter that names the images with lesions -> those images."""


@dataclass(frozen=True, eq=False)
class LesionFilledInputs:
    """fixed, moving: the images, with lesions filled as requested. seconds: stage -> seconds."""

    fixed: Image
    moving: Image
    seconds: dict[str, float]
    warnings: tuple[str, ...]


def lesion_filled_inputs(
    fixed: Image,
    moving: Image,
    sides: str,
    model: HealthyModel,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> LesionFilledInputs:
    """Return the pair with the lesions of `sides` (a key of LESION_SIDES) filled. Raises as `run_una`."""
    images, chosen = {"fixed": fixed, "moving": moving}, LESION_SIDES[sides]
    seconds: dict[str, float] = {}
    warnings: list[str] = []
    for n, side in enumerate(chosen):
        scan = images[side]
        part = sub_progress(progress, n / len(chosen), (n + 1) / len(chosen))
        result = run_una(model, scan, ReconstructionConfig(device=device), _prefixed(part))
        images[side] = fill_lesions(result, scan, model.una)
        seconds[f"lesion filling, {side}"] = sum(result.seconds.values())
        if torch.equal(images[side].data, scan.data[:1].float()):
            warnings.append(f"No anomaly was found in the {side} image: it was registered as it is.")
        else:
            warnings.append(
                f"The {side} image was registered via its pseudo-healthy image: inside its anomalies the transform is "
                "that of synthetic healthy tissue."
            )
        warnings += [f"The {side} image: {text}" for text in result.warnings]
    return LesionFilledInputs(images["fixed"], images["moving"], seconds, tuple(warnings))


def fill_lesions(result: UNAResult, image: Image, una: UNA) -> Image:
    """Return `image`, the scan that `una` reconstructed as `result`, with its anomalies inpainted.

    On the scan's grid, in its own contrast and units; unchanged where there is no anomaly.
    """
    maps, scan, grid = result.maps, result.scan, result.maps.t1.grid
    brain = maps.brain.data[0] > 0
    raw = image.data[:1].float()
    lesion = (maps.anomaly.data[0] >= FILL_THRESHOLD) & brain
    if not bool(lesion.any()):
        return Image(raw, image.grid, name=image.name)

    def mirror_mask(mask: torch.Tensor) -> torch.Tensor:
        """Return `mask` on the contralateral side."""
        whole = resample(mask[None], grid, scan.source_grid)[0]
        return sample_contralateral(whole, scan.source_grid, scan.transform, grid)

    hole = torch.from_numpy(binary_dilation(lesion.numpy())) & brain
    with torch.inference_mode():
        sides = BilateralImage(scan.image.data[0], scan.mirrored.data[0], brain, mirror_mask)
        inpainted = inpaint(una, sides, hole)
    low, high = scan.scale.low, scan.scale.high
    filled = Image((low + inpainted * (high - low))[None], grid).resampled(image.grid).data
    weight = (2 * Image(hole[None].float(), grid).resampled(image.grid).data).clamp(0, 1)
    return Image(raw * (1 - weight) + filled * weight, image.grid, name=image.name)


def _prefixed(progress: Progress) -> Progress:
    return lambda fraction, text: progress(fraction, f"healthy reconstruction: {text}")
