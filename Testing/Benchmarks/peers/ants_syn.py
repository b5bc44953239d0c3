"""ANTs as a peer: centre of mass, affine, then SyN, by the 'SyN' preset of antspyx.

The preset is the one ``ants.registration`` uses when nothing is said: mutual information in both
stages, which also serves across contrasts. Threads follow ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS.
Source: Avants et al. 2008, Medical Image Analysis 12(1).
"""

from __future__ import annotations

import tempfile

import ants
from ants_moving import move_all
from arguments import peer_arguments


def main() -> None:
    """Register, then write the moved labels (label-wise interpolation) and, if asked, the moved image."""
    given = peer_arguments("ANTs affine + SyN")
    fixed, moving = ants.image_read(str(given.fixed)), ants.image_read(str(given.moving))
    with tempfile.TemporaryDirectory() as scratch:
        found = ants.registration(fixed, moving, type_of_transform="SyN", outprefix=f"{scratch}/syn_")
        move_all(given, fixed, found["fwdtransforms"])
        if given.moved:
            ants.image_write(found["warpedmovout"], str(given.moved))


if __name__ == "__main__":
    main()
