"""Alignment of an image to the first example: by header, by image centre, or by registration.

Heads are registered by their brains, with the network; all other anatomy by the generic pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.errors import BrainNotFound, ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, network_features, register_brains
from SlicerSynthReg.registration.ct_tissue import is_ct
from SlicerSynthReg.registration.generic_pipeline import GenericPipelineConfig, register_generic
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.preprocessing import brain_mask, local_contrast, normalise_and_resample
from SlicerSynthReg.registration.synthmorph import load_synthmorph
from SlicerSynthReg.spatial.intensity import rescale_intensity
from SlicerSynthReg.spatial.transform import Affine, Transform
from SlicerSynthReg.weights.selection import registration_card

REGISTERED = ("affine", "deformable")
COMPARISON_MM = 2.0
"""Finest spacing at which two alignments are compared."""
MAX_HEAD_MM = 330.0
"""Images that extend further along an axis show the body; no brain is searched in them."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """transform: fixed RAS mm -> moving RAS mm; None: identity. notes: messages for the user."""

    transform: Transform | None
    notes: tuple[str, ...] = ()


def contains_brain(image: Image, device: str) -> bool:
    """Return whether the registration network finds a brain in `image`."""
    card = registration_card(None)
    model = load_synthmorph(card)
    extent = image.grid.spacing * image.grid.shape
    if card is None or model is None or is_ct(image) or float(extent.max()) > MAX_HEAD_MM:
        return False
    try:
        preprocessed = normalise_and_resample(image, None, card.spacing_mm)
    except ImageError:
        return False
    features = network_features(model.to(device), preprocessed, device)
    return brain_mask(features, preprocessed.grid) is not None


def align_to_reference(fixed: Image, moving: Image, alignment: str, device: str, brain: bool) -> Alignment:
    """Align `moving` to `fixed`.

    alignment: "affine" or "deformable" registration, "header" (identity), or "centre" (translation). brain: whether
    `fixed` shows a brain. A registration of two heads with a lower local correlation than the alignment by centres is
    replaced by the latter, as is one that fails because an image is too small.
    """
    if alignment == "header":
        return Alignment(None)
    shift = np.eye(4)
    shift[:3, 3] = moving.grid.center_mm - fixed.grid.center_mm
    centred = Affine(shift)
    if alignment not in REGISTERED:
        return Alignment(centred)
    affine_only = alignment == "affine"
    try:
        transform = _register_brains(fixed, moving, affine_only, device) if brain else None
        if transform is None:
            kind = "ct" if is_ct(fixed) and is_ct(moving) else "same-modality"
            config = GenericPipelineConfig(kind, affine_only=affine_only, device=device)
            return Alignment(register_generic(RegistrationInputs(fixed, moving), config).transform)
    except ImageError:
        return Alignment(centred, ("too small to be registered; aligned by its centre.",))
    grid = fixed.grid.aligned_to_ras(max(COMPARISON_MM, float(fixed.grid.spacing.min())))
    reference = rescale_intensity(fixed.resampled(grid).data[0])
    registered, by_centre = (
        abs(mean_local_ncc(rescale_intensity(moving.resampled(grid, t).data[0]), reference))
        for t in (transform, centred)
    )
    if by_centre > registered + 0.02:
        return Alignment(centred, ("registration lowered the local correlation; aligned by its centre.",))
    return Alignment(transform)


def _register_brains(fixed: Image, moving: Image, affine_only: bool, device: str) -> Transform | None:
    """Return the transform, or None if the network finds no brain in one of the images."""
    card = registration_card(None)
    spacing = card.spacing_mm if card else COMPARISON_MM
    config = BrainPipelineConfig(spacing_mm=spacing, affine_only=affine_only, require_brains=True, device=device)
    try:
        return register_brains(RegistrationInputs(fixed, moving), config, load_synthmorph(card)).transform
    except BrainNotFound:
        return None


def mean_local_ncc(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the correlation of the local contrast of two images (I, J, K) in [0, 1], at half resolution, within the
    union of their foregrounds; 0 without foreground.

    1 for the same image up to intensity scale; 0.4 to 0.6 for hippocampi of two subjects aligned by their centres;
    about 0 for different anatomy; negative for inverted contrast, such as T2 to T1.
    """
    a, b = (F.avg_pool3d(image[None, None], 2)[0, 0] if min(image.shape) > 1 else image for image in (a, b))
    foreground = (a > 0.08) | (b > 0.08)
    if int(foreground.sum()) < 8:
        return 0.0
    a, b = (local_contrast(image, (5,))[0][foreground] for image in (a, b))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-6))
