"""How an image comes to the first example: where its header says, by its centre, or registered as what it shows.

Heads are registered by their brains, with the network; all else as any anatomy is, where the two are of one kind.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.tasks.alignment import AlignmentConfig, NotABrain, align, look
from SlicerSynthReg.tasks.anywhere import AnywhereConfig, align_anywhere
from SlicerSynthReg.tasks.anywhere_scans import is_ct
from SlicerSynthReg.tasks.loaded import registration_network
from SlicerSynthReg.tasks.model import chosen_card
from SlicerSynthReg.tasks.prepare import anatomy, local_contrast, standardised
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.volume import Volume, VolumeError

REGISTERED = ("affine", "deformable")
COMPARED_AT_MM = 2.0
LONGEST_HEAD_MM = 330.0
"""Images that reach farther along an axis are of the body: they are not searched for a brain."""


def shows_brain(volume: Volume, device: str) -> bool:
    """Whether the registration's network recognises a brain."""
    card = chosen_card(None)
    model = registration_network(card)
    extent = volume.grid.spacing * volume.grid.shape
    if card is None or model is None or is_ct(volume) or float(extent.max()) > LONGEST_HEAD_MM:
        return False
    try:
        scan = standardised(volume, None, card.spacing_mm)
    except VolumeError:
        return False
    return anatomy(look(model.to(device), scan, AlignmentConfig(device=device)), scan.grid) is not None


def bring(
    fixed: Volume, moving: Volume, alignment: str, device: str, brain: bool
) -> tuple[Transform | None, tuple[str, ...]]:
    """Transform fixed RAS -> moving RAS, None for the identity, and what the user should know of it.

    brain: whether `fixed` shows one. "affine", "deformable": registered; where that leaves two heads less alike than
    their centres do, the centres count. All else was tried from its centre before.
    """
    if alignment == "header":
        return None, ()
    shift = np.eye(4)
    shift[:3, 3] = moving.grid.center_mm - fixed.grid.center_mm
    centred = Affine(shift)
    if alignment not in REGISTERED:
        return centred, ()
    affine_only = alignment == "affine"
    try:
        found = _by_brain(fixed, moving, affine_only, device) if brain else None
        if found is None:
            kind = "ct" if is_ct(fixed) and is_ct(moving) else "alike"
            config = AnywhereConfig(kind, affine_only=affine_only, device=device)
            return align_anywhere(fixed, moving, config).transform, ()
    except VolumeError:
        return centred, ("too small to be registered, so its centre was laid on the first example's.",)
    grid = fixed.grid.aligned_to_ras(max(COMPARED_AT_MM, float(fixed.grid.spacing.min())))
    seen = unit_intensities(fixed.resampled(grid).data[0])
    registered, by_centre = (
        abs(likeness(unit_intensities(moving.resampled(grid, t).data[0]), seen)) for t in (found, centred)
    )
    if by_centre > registered + 0.02:
        return centred, ("registration made it less alike, so its centre was laid on the first example's.",)
    return found, ()


def _by_brain(fixed: Volume, moving: Volume, affine_only: bool, device: str) -> Transform | None:
    """None where the network recognises no brain in one of them."""
    card = chosen_card(None)
    spacing = card.spacing_mm if card else COMPARED_AT_MM
    config = AlignmentConfig(affine_only=affine_only, brains_only=True, device=device)
    try:
        return align(registration_network(card), spacing, fixed, moving, config).transform
    except NotABrain:
        return None


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of the local contrast of two images (I, J, K), at half resolution, where either shows anything.

    1 for the same image, whatever its brightness; 0.4 to 0.6 for two people's hippocampi laid on their centres; about 0
    for other anatomy; negative for another contrast, such as T2 for T1.
    """
    one, two = (F.avg_pool3d(image[None, None], 2)[0, 0] if min(image.shape) > 1 else image for image in (a, b))
    where = (one > 0.08) | (two > 0.08)
    if int(where.sum()) < 8:
        return 0.0
    one, two = (local_contrast(image, (5,))[0][where] for image in (one, two))
    one, two = one - one.mean(), two - two.mean()
    return float((one * two).sum() / (one.norm() * two.norm()).clamp_min(1e-6))
