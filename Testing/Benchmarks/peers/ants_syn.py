"""ANTs as a peer: centre of mass, affine, then SyN, by the 'SyN' preset of antspyx.

The preset is the one ``ants.registration`` uses when nothing is said: mutual information in both
stages, which also serves across contrasts. Threads follow ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS.
Source: Avants et al. 2008, Medical Image Analysis 12(1).
"""

from __future__ import annotations

import tempfile

import ants
from arguments import peer_arguments


def main() -> None:
    """Register, then write the moved labels (label-wise interpolation) and, if asked, the moved image."""
    given = peer_arguments("ANTs affine + SyN")
    fixed, moving = ants.image_read(str(given.fixed)), ants.image_read(str(given.moving))
    with tempfile.TemporaryDirectory() as scratch:
        found = ants.registration(fixed, moving, type_of_transform="SyN", outprefix=f"{scratch}/syn_")
        moves = [(given.labels, given.out, "genericLabel")] if given.labels else []
        for source, target, how in [*moves, *((a, b, "linear") for a, b in zip(given.values, given.values_out))]:
            image = ants.image_read(str(source))
            moved = ants.apply_transforms(fixed, image, found["fwdtransforms"], interpolator=how)
            ants.image_write(moved, str(target))
        if given.moved:
            ants.image_write(found["warpedmovout"], str(given.moved))


if __name__ == "__main__":
    main()
