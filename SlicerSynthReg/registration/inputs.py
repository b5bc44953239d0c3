"""The inputs of one registration, and the checks that they belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.errors import GeometryError, ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks
from SlicerSynthReg.spatial.transform import Transform


@dataclass(frozen=True, eq=False)
class RegistrationInputs:
    """Images, and what is known about them.

    fixed_labels: on the fixed grid. moving_labels: on a grid of their own. masks: non-zero where the registration may
    compare. landmarks: corresponding points in the same order, RAS mm. initial_transform: fixed RAS mm -> moving RAS
    mm.
    """

    fixed: Image
    moving: Image
    fixed_labels: Image | None = None
    moving_labels: Image | None = None
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    fixed_landmarks: Landmarks | None = None
    moving_landmarks: Landmarks | None = None
    initial_transform: Transform | None = None


def check_registration_inputs(inputs: RegistrationInputs) -> None:
    """Raise GeometryError for fixed labels on another grid than the fixed image and for landmarks without partners
    ("landmark-mismatch"), and ImageError for an empty mask
    ("mask-empty"), moving labels outside the moving image ("labels-outside") and label maps without a common label
    number ("labels-disjoint")."""
    if inputs.fixed_labels is not None:
        inputs.fixed.grid.require_same(inputs.fixed_labels.grid, "fixed labels")
    for name, mask in (("fixed mask", inputs.fixed_mask), ("moving mask", inputs.moving_mask)):
        if mask is not None:
            check_mask(mask, name)
    if inputs.moving_labels is not None:
        _check_labels_inside(inputs.moving_labels, inputs.moving)
        if inputs.fixed_labels is not None:
            _check_common_label(inputs.fixed_labels, inputs.moving_labels)
    if inputs.fixed_landmarks is not None and inputs.moving_landmarks is not None:
        _check_pairs(inputs.fixed_landmarks, inputs.moving_landmarks)


def _check_pairs(fixed: Landmarks, moving: Landmarks) -> None:
    counts = len(fixed.points_mm), len(moving.points_mm)
    if counts[0] != counts[1] or not counts[0]:
        raise GeometryError(
            f"Found {counts[0]} fixed and {counts[1]} moving landmarks, expected corresponding points, as many in both "
            "images. Place the missing ones, or remove those without a partner.",
            code="landmark-mismatch",
        )


def check_mask(mask: Image, name: str) -> None:
    """Raise ImageError (code "mask-empty") for a mask without non-zero voxels. name: its role in the message."""
    if not bool((mask.data != 0).any()):
        raise ImageError(
            f"Found an empty {name}, expected non-zero voxels. Draw the region that the registration may compare.",
            code="mask-empty",
        )


def _check_labels_inside(labels: Image, image: Image) -> None:
    marked = labels.grid.index_to_world((labels.data[0] != 0).nonzero()[::50].numpy())
    index = image.grid.world_to_index(marked)
    if not bool(((index > -0.5) & (index < np.array(image.grid.shape) - 0.5)).all(axis=1).any()):
        raise ImageError(
            "Found moving labels that mark nothing within the moving image, expected labels drawn on that image. Check "
            "that both files belong together, and that neither header was changed.",
            code="labels-outside",
        )


def _check_common_label(fixed: Image, moving: Image) -> None:
    ours, theirs = (set(labels.data.unique().tolist()) - {0} for labels in (fixed, moving))
    if not ours & theirs:
        shown = [", ".join(str(int(n)) for n in sorted(numbers)[:6]) or "none" for numbers in (ours, theirs)]
        raise ImageError(
            f"Found no label number in both label maps (fixed: {shown[0]}; moving: {shown[1]}), expected one structure "
            "under one number in both. Renumber one of them, or leave one out: overlap is then not measured.",
            code="labels-disjoint",
        )
