"""ANTs SyN on the features of our network: the second solver of anatomix (Dey et al. 2024, section 4.1).

Centre of mass and affine by mutual information of the images, as in ants_syn.py (the preset 'SyN' without an iteration
of its own; 'Affine' ends elsewhere); then SyN on the mean squared difference of all feature channels, each with the
same weight. The channels are made by `synthreg features`, which is counted as part of the registration.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import ants
from ants_moving import move_all
from arguments import peer_arguments


def feature_channels(synthreg: str, image: Path, folder: Path) -> list[ants.ANTsImage]:
    """Return the channels of `image` on a RAS-aligned grid of the network's voxel size."""
    subprocess.run([synthreg, "features", str(image), "--out", str(folder)], check=True)
    return ants.ndimage_to_list(ants.image_read(str(folder / "features.nii.gz")))


def main() -> None:
    """Register, then write the moved labels (label-wise interpolation) and, if asked, the moved image."""
    given = peer_arguments("ANTs affine, then SyN on learned features", "--synthreg")
    fixed, moving = ants.image_read(str(given.fixed)), ants.image_read(str(given.moving))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        affine = ants.registration(
            fixed, moving, type_of_transform="SyN", reg_iterations=(0, 0, 0), outprefix=f"{scratch}/affine_"
        )
        features = [
            feature_channels(given.synthreg, path, folder / name)
            for path, name in ((given.fixed, "f"), (given.moving, "m"))
        ]
        pairs = list(zip(*features))
        found = ants.registration(
            *pairs[0],
            type_of_transform="SyNOnly",
            initial_transform=affine["fwdtransforms"][-1],
            syn_metric="meansquares",
            multivariate_extras=[("MeanSquares", f, m, 1, 0) for f, m in pairs[1:]],
            outprefix=f"{scratch}/syn_",
        )
        move_all(given, fixed, found["fwdtransforms"])
        if given.moved:
            ants.image_write(ants.apply_transforms(fixed, moving, found["fwdtransforms"]), str(given.moved))


if __name__ == "__main__":
    main()
