"""Application of the transforms of an ANTs peer."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import ants


def move_all(given: argparse.Namespace, fixed: ants.ANTsImage, transforms: Sequence[str]) -> None:
    """Write labels (label-wise interpolation) and values (linear) of `peer_arguments` on the grid of `fixed`."""
    moves = [(given.labels, given.out, "genericLabel")] if given.labels else []
    for source, target, how in [*moves, *((a, b, "linear") for a, b in zip(given.values, given.values_out))]:
        image = ants.image_read(str(source))
        ants.image_write(ants.apply_transforms(fixed, image, transforms, interpolator=how), str(target))
